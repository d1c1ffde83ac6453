//! Who is logged in: a random token in a cookie, and a table here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bonito_core::{Session, Status};
use tokio::sync::watch;

use crate::random;

/// The name of the cookie.
pub const COOKIE: &str = "login";
/// Everybody's, since this is an example.
pub const PASSWORD: &str = "bonito";

const HOURS: u64 = 12;
/// How many may be logged in.
const MOST: usize = 10_000;
/// How many live pages one of them may have; the oldest goes.
const PAGES: usize = 50;

/// Those who are logged in. A clone is the same table.
#[derive(Clone, Debug, Default)]
pub struct People(Arc<Mutex<HashMap<String, Person>>>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Person {
    name: Arc<str>,
    until: Instant,
    pages: Arc<Mutex<Vec<Session>>>,
    over: Arc<watch::Sender<bool>>,
}

impl People {
    /// Logs somebody in. The answer is the value of a `Set-Cookie` header, or nothing for whom is not let in.
    pub fn log_in(&self, name: &str, password: &str) -> Option<String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 24 || password != PASSWORD {
            return None;
        }
        let token = random()?;
        let until = Instant::now() + Duration::from_secs(HOURS * 3600);
        let person = Person { name: name.into(), until, pages: Arc::default(), over: Arc::default() };
        let mut table = lock(&self.0);
        table.retain(|_, person| person.until > Instant::now());
        if table.len() >= MOST {
            return None;
        }
        // Over https, `Secure` belongs here too.
        let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}", HOURS * 3600);
        table.insert(token, person);
        Some(cookie)
    }

    /// Whose token this is.
    pub fn find(&self, token: &str) -> Option<Person> {
        lock(&self.0).get(token).filter(|person| person.until > Instant::now()).cloned()
    }

    /// Logs out, and ends the live pages with it. The answer is the value of a `Set-Cookie` header.
    pub fn log_out(&self, token: &str) -> String {
        let person = lock(&self.0).remove(token);
        if let Some(person) = person {
            person.over.send_replace(true);
            let pages = std::mem::take(&mut *lock(&person.pages));
            for page in pages {
                page.close();
            }
        }
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
    }
}

impl Person {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the person has logged out.
    pub async fn logged_out(&self) {
        // It is there as long as this is.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Ties a live page to the login.
    pub fn owns(&self, page: &Session) {
        let oldest = {
            let mut pages = lock(&self.pages);
            pages.retain(|page| page.status() != Status::Closed);
            pages.push(page.clone());
            (pages.len() > PAGES).then(|| pages.remove(0))
        };
        if let Some(oldest) = oldest {
            oldest.close();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bonito_core::Endpoint;

    use super::*;

    fn token(cookie: &str) -> &str {
        cookie.split(['=', ';']).nth(1).unwrap()
    }

    #[test]
    fn a_token_lets_in_until_its_owner_logs_out() {
        let people = People::default();
        let cookie = people.log_in(" Ada ", PASSWORD).unwrap();
        let ada = people.find(token(&cookie)).unwrap();
        assert_eq!(ada.name(), "Ada");
        let page = Endpoint::builder("/live").build().session();
        ada.owns(&page);
        people.log_out(token(&cookie));
        assert!(people.find(token(&cookie)).is_none());
        assert_eq!(page.status(), Status::Closed);
    }

    #[test]
    fn who_is_nobody_stays_out() {
        let people = People::default();
        for (name, password) in
            [("", PASSWORD), ("  ", PASSWORD), ("Ada", "tuna"), (&"a".repeat(25), PASSWORD)]
        {
            assert!(people.log_in(name, password).is_none(), "{name:?} {password:?}");
        }
        assert!(people.find("").is_none());
    }
}
