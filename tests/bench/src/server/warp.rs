//! warp: `warp::ws` and the routes of `bonito-warp`.

use std::io;

use bytes::Bytes;
use tokio::net::TcpListener;
use warp::Filter;
use warp::path::FullPath;
use warp::ws::{Message, Ws};

use super::App;
use super::raw::{self, RawMessage};

pub(super) async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    let live = bonito_warp::routes(&app.live);
    let pages = app.clone();
    let raw = warp::path!("raw" / String).and(warp::ws()).map(move |kind: String, upgrade: Ws| {
        let hub = app.hub.clone();
        upgrade.on_upgrade(async move |socket| raw::serve(&kind, socket, &hub).await)
    });
    let pages = warp::path::full().map(move |path: FullPath| warp::reply::html(pages.answer(path.as_str())));
    warp::serve(raw.or(live).or(pages)).incoming(listener).run().await;
    Ok(())
}

impl RawMessage for Message {
    fn binary(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }

    fn len(&self) -> usize {
        self.as_bytes().len()
    }
}
