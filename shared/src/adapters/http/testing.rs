//! A loopback HTTP server that misbehaves on demand: a handler writes raw bytes to the connection.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use url::Url;

/// A server on a port of its own; it ends with the process.
pub(crate) struct Server {
    pub(crate) url: Url,
    calls: Arc<Mutex<Vec<String>>>,
}

/// One request, as its handler sees it.
pub(crate) struct Call {
    /// Which request it is, counted from one.
    pub(crate) number: usize,
    /// Path and query.
    pub(crate) path: String,
    /// The head in lower case.
    pub(crate) head: String,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Call, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
            calls: Arc::default(),
        };
        let calls = Arc::clone(&server.calls);
        let handler = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (calls, handler) = (Arc::clone(&calls), Arc::clone(&handler));
                thread::spawn(move || {
                    let head = read_head(&mut stream);
                    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
                    let number = {
                        let mut calls = calls.lock().unwrap();
                        calls.push(head.clone());
                        calls.len()
                    };
                    handler(
                        &Call {
                            number,
                            path,
                            head: head.to_lowercase(),
                        },
                        &mut stream,
                    );
                });
            }
        });
        server
    }

    /// A server that always answers the same.
    pub(crate) fn with(reply: impl Into<Vec<u8>>) -> Self {
        let reply = reply.into();
        Self::start(move |_call, stream| send(stream, &reply))
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// How many requests came.
    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

/// Writes as much as the client takes.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _gone = stream.write_all(bytes);
}

/// A complete response.
pub(crate) fn reply(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
