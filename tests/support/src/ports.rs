//! Free ports on loopback for programs that must be told their port before they start.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Two different ports that are free, and that no other holder of a [`Pair`] takes while this one exists: a server
/// that is stopped for a while finds them free again.
///
/// They lie below the range from which the kernel takes the ports of outgoing connections and of listeners on port 0.
/// Programs that know nothing of this may still take one, for which callers must be ready.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) first: u16,
    pub(crate) second: u16,
    _claims: [UnixListener; 2],
}

impl Pair {
    pub(crate) fn claim() -> Pair {
        let (first, one) = claim();
        let (second, other) = claim();
        Pair { first, second, _claims: [one, other] }
    }
}

/// A claim is a name that one process of this machine can hold, and that leaves with it.
fn claim() -> (u16, UnixListener) {
    for _ in 0..1000 {
        let port: u16 = rand::random_range(12_000..20_000);
        let name = SocketAddr::from_abstract_name(format!("nightshard-test-port-{port}")).unwrap();
        if let Ok(claim) = UnixListener::bind_addr(&name)
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            return (port, claim);
        }
    }
    panic!("no free port on loopback between 12000 and 20000 in 1000 attempts");
}
