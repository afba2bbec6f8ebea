//! Free ports on loopback for programs that must be told their port before they start.

use std::net::TcpListener;

/// Two different ports that are free now.
///
/// They lie below the range from which the kernel takes the ports of outgoing connections and of listeners on port
/// 0, so only another caller of this function can take one away before its program listens. Callers must be ready for that.
pub(crate) fn free_pair() -> (u16, u16) {
    let (first, held) = free();
    let (second, _) = free();
    drop(held);
    (first, second)
}

fn free() -> (u16, TcpListener) {
    for _ in 0..1000 {
        let port = rand::random_range(12_000..20_000);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return (port, listener);
        }
    }
    panic!("no free port on loopback between 12000 and 20000 in 1000 attempts");
}
