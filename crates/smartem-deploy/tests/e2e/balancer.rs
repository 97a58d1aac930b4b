//! A tiny balancer: each connection goes to the next endpoint that is in its list. Endpoints come and go as those
//! of a Service do, by the hand of the test.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Endpoints(Arc<(Mutex<Vec<SocketAddr>>, AtomicUsize)>);

impl Endpoints {
    pub(crate) fn add(&self, address: SocketAddr) {
        self.0.0.lock().unwrap().push(address);
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        self.0.0.lock().unwrap().retain(|known| *known != address);
    }

    fn next(&self) -> Option<SocketAddr> {
        let known = self.0.0.lock().unwrap();
        let turn = self.0.1.fetch_add(1, Ordering::Relaxed);
        (!known.is_empty()).then(|| known[turn % known.len()])
    }
}

/// Listens on this machine for as long as the program runs.
pub(crate) fn listen(endpoints: &Endpoints) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoints = endpoints.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let endpoints = endpoints.clone();
            thread::spawn(move || {
                // A refused connection is the client's: a Service does not try another pod either.
                let Some(to) = endpoints.next() else { return };
                if let Ok(server) = TcpStream::connect_timeout(&to, Duration::from_secs(3)) {
                    join(&client, &server);
                }
            });
        }
    });
    address
}

fn join(client: &TcpStream, server: &TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let up = thread::spawn(move || copy(from, to));
    let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    copy(from, to);
    let _ = up.join();
}
