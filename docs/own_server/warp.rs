//! The app's own route in warp.

use warp::{Filter, Rejection, Reply};

use super::{App, hyper};

/// The whole app.
pub fn filter(app: App) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection> + Clone + use<> {
    let app = warp::any().map(move || app.clone());
    let page = warp::path::end()
        .and(app.clone())
        .map(|app: App| warp::reply::html(app.page()))
        .with(warp::reply::with::header("cache-control", "no-store"));
    let socket = warp::path!("sockets" / String)
        .and(bonito_warp::parts())
        .and(app.clone())
        .map(|id: String, parts, app: App| hyper::socket(&app, &id, parts));
    // The browser client.
    let files = warp::path!("live" / "assets" / String)
        .and(bonito_warp::parts())
        .and(app)
        .then(|_, parts, app: App| async move { bonito_hyper::answer(&app.live, parts).await });
    page.or(socket).or(files)
}
