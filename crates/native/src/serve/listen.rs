//! The sockets the server listens on.

use anyhow::{Context, Result};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 2048;

/// The socket that was asked for, and its twin on the loopback.
pub(super) struct Listeners {
    main: TcpListener,
    twin: Option<TcpListener>,
    port: u16,
}

impl Listeners {
    /// Binds `address`. In local mode `localhost` may mean either loopback address to a client, so that `[::1]` is
    /// bound besides `127.0.0.1` where the machine has it.
    pub(super) fn bind(address: SocketAddr, local: bool) -> Result<Self> {
        let main = bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let port = main.local_addr().context("cannot listen")?.port();
        if local && !address.ip().is_loopback() {
            tracing::warn!(%address, "the hostname is localhost, but other machines can reach this address");
        }
        let twin = if local && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            bind((Ipv6Addr::LOCALHOST, port).into())
                .inspect_err(|error| tracing::debug!(%error, port, "not listening on [::1]"))
                .ok()
        } else {
            None
        };
        Ok(Self { main, twin, port })
    }

    /// The port, also when any was asked for.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The next connection on any of them, and where it is from.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        let accepted = match &self.twin {
            Some(twin) => tokio::select! {
                accepted = self.main.accept() => accepted,
                accepted = twin.accept() => accepted,
            },
            None => self.main.accept().await,
        };
        let (stream, peer) = accepted?;
        stream.set_nodelay(true)?;
        Ok((stream, peer.ip()))
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for the connections of the last run to time out.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
