//! actix-web: actix-ws and the routes of `bonito-actix`, on one worker.

use std::io;

use actix_web::web::{self, Html, Path, Payload};
use actix_web::{App as ActixApp, HttpRequest, HttpResponse, HttpServer, rt};
use actix_ws::{Message, MessageStream, Session};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::net::TcpListener;

use super::App;
use super::raw::Hub;

pub(super) async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    let factory = move || {
        let (raw, pages) = (app.clone(), app.clone());
        ActixApp::new()
            .configure(bonito_actix::routes(&app.live))
            .route(
                "/raw/{kind}",
                web::get().to(move |kind: Path<String>, request: HttpRequest, payload: Payload| {
                    let app = raw.clone();
                    async move { upgrade(&app, kind.into_inner(), &request, payload) }
                }),
            )
            .default_service(web::to(move |request: HttpRequest| {
                let page = pages.answer(request.path());
                async move { Html::new(page) }
            }))
    };
    let server = HttpServer::new(factory).workers(1).tcp_nodelay(true).disable_signals();
    server.listen(listener.into_std()?)?.run().await
}

fn upgrade(
    app: &App,
    kind: String,
    request: &HttpRequest,
    payload: Payload,
) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(request, payload)?;
    let hub = app.hub.clone();
    // The bound of a frame is 64 KiB by default, and one case sends more.
    rt::spawn(async move { raw_socket(&kind, session, stream.max_frame_size(1 << 20), &hub).await });
    Ok(response)
}

/// What [`super::raw::serve`] does; actix-ws has a stream and a handle, but no sink.
async fn raw_socket(kind: &str, mut session: Session, mut stream: MessageStream, hub: &Hub) {
    if kind == "listen" {
        let mut receiver = hub.listen();
        while let Some(bytes) = receiver.recv().await {
            if session.binary(bytes).await.is_err() {
                return;
            }
        }
    }
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(bytes) = message else { continue };
        let answer = match kind {
            "echo" => bytes,
            _ if bytes.len() == 1 => Bytes::new(),
            _ => continue,
        };
        if session.binary(answer).await.is_err() {
            return;
        }
    }
}
