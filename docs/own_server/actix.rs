//! The app's own route in actix-web.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, rt};
use bonito_core::Outcome;

use super::{App, serve};

/// The whole app.
pub fn routes(app: App) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(Data::new(app))
            .route("/", web::get().to(page))
            .route("/sockets/{id}", web::get().to(socket))
            .route("/live/assets/{file}", web::get().to(file));
    }
}

async fn page(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(app.page())
}

async fn socket(app: Data<App>, id: Path<String>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(served) = app.sessions.find(&id) else {
        return HttpResponse::NotFound().finish();
    };
    let Some(parts) = bonito_actix::to_parts(&request) else {
        return HttpResponse::BadRequest().finish();
    };
    // Method, headers and origin.
    if let Some(refusal) = app.live.refusal(&parts) {
        return bonito_actix::respond(refusal);
    }
    let (response, connection) = bonito_actix::upgrade(&parts, payload);
    rt::spawn(async move {
        serve(served, bonito_websocket::transport(connection, app.live.limits()).await).await;
    });
    response
}

/// The browser client.
async fn file(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let Some(parts) = bonito_actix::to_parts(&request) else {
        return HttpResponse::BadRequest().finish();
    };
    match app.live.handle(&parts).await {
        Outcome::Respond(response) => bonito_actix::respond(response),
        Outcome::Upgrade(_) => HttpResponse::NotFound().finish(),
    }
}

/// The same with actix-ws.
pub async fn socket_of_actix_ws(
    app: Data<App>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> actix_web::Result<HttpResponse> {
    let Some(served) = app.sessions.find(&id) else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let Some(parts) = bonito_actix::to_parts(&request) else {
        return Ok(HttpResponse::BadRequest().finish());
    };
    if let Some(refusal) = app.live.refusal(&parts) {
        return Ok(bonito_actix::respond(refusal));
    }
    let limits = app.live.limits();
    // Before actix-ws gathers what will be refused.
    let payload = bonito_actix::guard(&request, payload, limits)?;
    let (response, socket, stream) = actix_ws::handle(&request, payload)?;
    rt::spawn(serve(served, bonito_actix::transport(socket, stream, limits)));
    Ok(response)
}
