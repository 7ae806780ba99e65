//! The wire between a process and its database, which a test can cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A relay on an address of its own. Its threads end with the test.
pub struct Relay {
    pub address: SocketAddr,
    line: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    is_cut: bool,
    is_silent: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// Relays to `target`.
    pub fn to(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Wire::default());
        let relayed = line.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut line = relayed.line.lock().unwrap();
                if line.is_cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let wire = relayed.clone();
                    std::thread::spawn(move || pump(from, to, &wire));
                }
                line.streams.extend([near, far]);
            }
        });
        Relay { address, line }
    }

    /// Ends every connection, and lets none be made.
    pub fn cut(&self) {
        let mut line = self.line.line.lock().unwrap();
        (line.is_cut, line.is_silent) = (true, false);
        self.line.changed.notify_all();
        for stream in line.streams.drain(..) {
            // Fails when it has ended already, which is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Keeps every connection, and what is sent over it, until the wire is cut: nobody is told that anything is wrong.
    pub fn silence(&self) {
        self.line.line.lock().unwrap().is_silent = true;
    }

    pub fn mend(&self) {
        self.line.line.lock().unwrap().is_cut = false;
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, wire: &Wire) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let line = wire.line.lock().unwrap();
        drop(wire.changed.wait_while(line, |line| line.is_silent).unwrap());
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
