//! A signaling server as one writes it on socketioxide, and as OWT's reference server
//! is (owt-server-p2p, peerserver.js): a map from users to sockets, an emit, an ack.
//! It listens on a free port of the loopback interface and says which. It has one
//! thread: with several, socketioxide handles a socket's events in any order.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketioxide::{
    SocketIo, TransportType,
    extract::{AckSender, Data, SocketRef},
};

#[derive(Deserialize)]
struct Authentication {
    token: String,
}

#[derive(Serialize)]
struct Authenticated<'a> {
    uid: &'a str,
}

#[derive(Deserialize)]
struct Message {
    to: String,
    data: Value,
}

#[derive(Serialize)]
struct Delivery<'a> {
    data: &'a Value,
    from: &'a str,
}

#[derive(Clone)]
struct User(Arc<str>);

type Sockets = Arc<Mutex<HashMap<Arc<str>, SocketRef>>>; // by user

fn serve(socket: SocketRef, sockets: Sockets) {
    let by_user = sockets.clone();
    socket.on(
        "authentication",
        async move |socket: SocketRef, Data(a): Data<Authentication>, ack: AckSender| {
            let user: Arc<str> = a.token.into();
            let before = by_user.lock().unwrap().insert(user.clone(), socket.clone());
            if let Some(before) = before {
                let _ = before.disconnect();
            }
            socket.extensions.insert(User(user.clone()));
            let _ = socket.emit("server-authenticated", &Authenticated { uid: &user });
            let _ = ack.send(&Authenticated { uid: &user });
        },
    );
    let by_user = sockets.clone();
    socket.on(
        "owt-message",
        async move |socket: SocketRef, Data(m): Data<Message>, ack: AckSender| {
            let receiver = by_user.lock().unwrap().get(m.to.as_str()).cloned();
            let (Some(receiver), Some(User(from))) = (receiver, socket.extensions.get::<User>()) else {
                let _ = ack.send(&2201);
                return;
            };
            let _ = match receiver.emit("owt-message", &Delivery { data: &m.data, from: &from }) {
                Ok(()) => ack.send::<[(); 0]>(&[]),
                Err(_) => ack.send(&2201),
            };
        },
    );
    socket.on_disconnect(async move |socket: SocketRef| {
        if let Some(User(user)) = socket.extensions.get::<User>() {
            let mut sockets = sockets.lock().unwrap();
            if sockets.get(&user).is_some_and(|s| s.id == socket.id) {
                sockets.remove(&user);
            }
        }
    });
}

/// What it is built from, as Cargo.toml pins it.
fn dependencies() -> String {
    let pins = include_str!("../Cargo.toml").lines().filter_map(|line| {
        let (name, pinned) = line.split_once(" = ")?;
        let version = pinned.split_once("\"=")?.1.split('"').next()?;
        Some(format!("{name} {version}"))
    });
    pins.collect::<Vec<_>>().join(", ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--version") {
        println!("{}", dependencies());
        return Ok(());
    }
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .max_payload(128 << 10)
        .build_layer();
    let sockets = Sockets::default();
    io.ns("/", async move |socket: SocketRef| serve(socket, sockets.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/socket.io/", listener.local_addr()?);
    let stopped = async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(0);
    };
    axum::serve(listener, axum::Router::new().layer(layer))
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}
