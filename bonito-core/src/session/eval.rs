//! Scripts on their way into the page, and results on their way back.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Bindable, Session, WeakShared};
use crate::js::Script;
use crate::proto::codec;
use crate::proto::later;
use crate::proto::message::{Code, ServerMessage};
use crate::proto::session::Status;
use crate::proto::value::RawValue;
use crate::proto::{DecodeError, EncodeError};
use crate::sync::lock;

/// Default time for [`Session::eval_value`].
const EVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Compiles inside the page, where a syntax error concerns this script alone and not the frame or bundle it came in.
const GUARDED: &str = "\
try { return new Function('__lookup_interpolated', 'Bonito', __lookup_interpolated('__source'))(__lookup_interpolated, Bonito) }
catch (error) { Bonito.send_error('Error in a script of the page', error) }";

/// The same for a function that listens. Only an explicit `false` ends it, protocol.md §5, or the end of its part.
const GUARDED_LISTENER: &str = "\
const fail = (error) => { Bonito.send_error('Error in a script of the page', error) }
let listener
try { listener = new Function('__lookup_interpolated', 'Bonito', __lookup_interpolated('__source'))(__lookup_interpolated, Bonito) }
catch (error) { fail(error) }
return (value) => {
  if (!listener || over()) return false
  const result = listener(value)
  if (result === false) return false
  if (typeof result?.then === 'function') result.then(undefined, fail)
}";

/// Tells a listener whether the part of the page that it is for is over: its element was in the page, and is there no more.
/// What it follows may live on, and whoever sent it may do so before the element is there.
const OVER: &str = "\
let seen
const over = () => {
  const here = !!document.getElementById(__lookup_interpolated('__home'))
  seen ||= here
  return seen && !here
}
over()
";

/// The same in the page's own session, which ends with the page.
const NEVER_OVER: &str = "const over = () => false\n";

/// Takes an expression or, if that does not parse, the body of a function.
const EVALUATED: &str = "\
const send = (id, payload) => Bonito.send_to_julia({ msg_type: '0', id: __lookup_interpolated(id), payload })
const text = (error) => { try { return String(error) } catch { return 'an error without a text' } }
const fail = (error) => send('__failure', text(error))
const compile = (body) => new Function('__lookup_interpolated', 'Bonito', body)
const source = __lookup_interpolated('__source')
let run
try { run = compile('return (' + source + '\\n)') } catch { try { run = compile(source) } catch (error) { fail(error) } }
if (run) {
  new Promise((resolve) => resolve(run(__lookup_interpolated, Bonito)))
    .then((value) => { try { send('__answer', value) } catch (error) { fail(error) } }, fail)
}";

impl Session {
    /// Evaluates a JavaScript expression in the page and brings back its value; a promise is awaited there. Statements
    /// work as the body of a function that returns.
    ///
    /// Waits at most 10 s, the time until the page connects included; [`eval_value_within`](Self::eval_value_within)
    /// takes another time.
    ///
    /// ```no_run
    /// # use bonito_core::{js, Session, EvalError};
    /// # async fn example(session: Session) -> Result<(), EvalError> {
    /// let width: f64 = session.eval_value(js!("window.innerWidth")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`EvalError`]: the script threw, took too long, gave a value of another type, or the session closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the answer. The script may still run.
    pub async fn eval_value<T: DeserializeOwned>(&self, script: impl Into<Script>) -> Result<T, EvalError> {
        self.eval_value_within(script, EVAL_TIMEOUT).await
    }

    /// [`eval_value`](Self::eval_value) with a time of your own.
    ///
    /// # Errors
    ///
    /// As for [`eval_value`](Self::eval_value).
    pub async fn eval_value_within<T: DeserializeOwned>(
        &self,
        script: impl Into<Script>,
        timeout: Duration,
    ) -> Result<T, EvalError> {
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let failed = sender.clone();
        let answer = self.input(move |_, payload| {
            if let Some(sender) = lock(&sender).take() {
                let _ = sender.send(Ok(payload.clone()));
            }
            Ok(())
        });
        let failure = self.input(move |_, payload| {
            let exception = payload.decode()?;
            if let Some(sender) = lock(&failed).take() {
                let _ = sender.send(Err(exception));
            }
            Ok(())
        });
        let (Some(answer), Some(failure)) = (answer, failure) else { return Err(EvalError::closed()) };
        let mut code = self.resolve(&script.into());
        code.values.push(("__source".into(), encode(&code.source)));
        code.values.push(("__answer".into(), encode(answer.name())));
        code.values.push(("__failure".into(), encode(failure.name())));
        code.source = EVALUATED.into();
        let message = codec::encode_message(&ServerMessage::EvalJavascript { code })
            .map_err(|error| EvalError(Kind::Unsendable(error)))?;
        self.0.send(|machine| machine.send(message));
        let host = self.host();
        match select(receiver, host.sleep_until(later(host.now(), timeout))).await {
            Either::Left((Ok(Ok(value)), _)) => {
                value.decode().map_err(|error| EvalError(Kind::WrongType(error)))
            }
            Either::Left((Ok(Err(exception)), _)) => Err(EvalError(Kind::Exception(exception))),
            Either::Left((Err(_), _)) => Err(EvalError::closed()),
            Either::Right(_) => Err(EvalError(Kind::TimedOut(timeout))),
        }
    }

    pub(super) fn eval_message(&self, script: &Script) -> Option<Bytes> {
        let mut code = self.resolve(script);
        if self.status() == Status::Uninitialized {
            guard_code(&mut code, GUARDED);
        }
        encode_message(&ServerMessage::EvalJavascript { code })
    }

    /// A script of the library's own, which needs no guard.
    pub(crate) fn send_code(&self, script: &Script) {
        if let Some(message) = self.code_message(script) {
            self.0.send(|machine| machine.send(message));
        }
    }

    pub(crate) fn code_message(&self, script: &Script) -> Option<Bytes> {
        encode_message(&ServerMessage::EvalJavascript { code: self.resolve(script) })
    }

    pub(super) fn listener_message(&self, observable: &Bindable, listener: &Script) -> Option<Bytes> {
        let mut code = self.resolve(listener);
        let function = code.source.trim_end().trim_end_matches(';');
        code.source = format!("return ({function}\n)");
        guard_code(&mut code, GUARDED_LISTENER);
        self.end_with_part(&mut code);
        self.listen_code(observable, code)
    }

    /// Registers a listener in the page; the source returns the function.
    fn listen_code(&self, observable: &Bindable, code: Code) -> Option<Bytes> {
        let observable = RawValue::cache_key(&observable.id().to_string()).ok()?;
        encode_message(&ServerMessage::OnjsCallback { observable, code })
    }

    /// A script of the library's own that adds listeners, which return `false` when they are `over()`.
    pub(crate) fn send_follower(&self, script: &Script) {
        let mut code = self.resolve(script);
        self.end_with_part(&mut code);
        if let Some(message) = encode_message(&ServerMessage::EvalJavascript { code }) {
            self.0.send(|machine| machine.send(message));
        }
    }

    /// The same for a script that returns a listener.
    pub(crate) fn send_listener(&self, observable: &Bindable, script: &Script) {
        let mut code = self.resolve(script);
        self.end_with_part(&mut code);
        if let Some(message) = self.listen_code(observable, code) {
            self.0.send(|machine| machine.send(message));
        }
    }

    fn end_with_part(&self, code: &mut Code) {
        let is_sub = self.0.is_sub();
        code.source.insert_str(0, if is_sub { OVER } else { NEVER_OVER });
        if is_sub {
            code.values.push(("__home".into(), encode(&self.id().to_string())));
        }
    }

    /// The script as it travels: what it interpolates is bound to the session.
    pub(crate) fn resolve(&self, script: &Script) -> Code {
        script.resolve(&mut |bindable| self.bind(bindable))
    }

    /// A name under which the page may send values, until the input is dropped or the session ends.
    pub(crate) fn input(
        &self,
        receive: impl Fn(&Self, &RawValue) -> Result<(), DecodeError> + Send + Sync + 'static,
    ) -> Option<Input> {
        let name = self.0.bindings.add_input(self.id(), Arc::new(receive))?;
        Some(Input { session: Arc::downgrade(&self.0), name })
    }
}

/// Something that the page may send; see [`Session::input`].
#[derive(Debug)]
pub(crate) struct Input {
    session: WeakShared,
    name: String,
}

impl Input {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            session.bindings.remove_input(&self.name);
        }
    }
}

fn guard_code(code: &mut Code, wrapper: &str) {
    code.values.push(("__source".into(), encode(&code.source)));
    code.source = wrapper.into();
}

fn encode(text: &str) -> RawValue {
    RawValue::encode(text).unwrap_or(RawValue::NIL)
}

fn encode_message(message: &ServerMessage) -> Option<Bytes> {
    codec::encode_message(message)
        .inspect_err(|error| tracing::error!("a script cannot be sent: {error}"))
        .ok()
}

/// Why [`Session::eval_value`] has no value to give.
#[derive(Debug)]
pub struct EvalError(Kind);

#[derive(Debug)]
enum Kind {
    Exception(String),
    TimedOut(Duration),
    WrongType(DecodeError),
    Unsendable(EncodeError),
    Closed,
}

impl EvalError {
    fn closed() -> Self {
        Self(Kind::Closed)
    }

    /// What the script threw, as JavaScript prints it.
    pub fn exception(&self) -> Option<&str> {
        match &self.0 {
            Kind::Exception(exception) => Some(exception),
            Kind::TimedOut(_) | Kind::WrongType(_) | Kind::Unsendable(_) | Kind::Closed => None,
        }
    }

    /// Whether no answer came in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Kind::TimedOut(_))
    }

    /// Whether the value was not of the type asked for.
    pub fn is_wrong_type(&self) -> bool {
        matches!(self.0, Kind::WrongType(_))
    }

    /// Whether the session closed before the answer came.
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Kind::Closed)
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exception(exception) => write!(f, "the script threw {exception}"),
            Kind::TimedOut(after) => write!(f, "the page gave no answer within {after:?}"),
            Kind::WrongType(_) => f.write_str("the value of the script has another type"),
            Kind::Unsendable(_) => f.write_str("the script cannot be sent"),
            Kind::Closed => f.write_str("the session closed before the script answered"),
        }
    }
}

impl std::error::Error for EvalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::WrongType(error) => Some(error),
            Kind::Unsendable(error) => Some(error),
            Kind::Exception(_) | Kind::TimedOut(_) | Kind::Closed => None,
        }
    }
}
