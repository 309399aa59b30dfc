//! A connection that is about to be upgraded by STARTTLS, and that hands over what comes in the clear byte by byte.
//!
//! The mail library keeps what it has read ahead when TLS begins, so somebody on the way could send replies behind the
//! server's "go ahead", in the clear, and have them taken for replies under TLS: a refused mail would count as accepted
//! (the family of CVE-2011-0411). With nothing read ahead, such bytes meet the TLS handshake, which fails on them.
//! This file must not know SMTP beyond that.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake (RFC 8446 §5.1), which begins no SMTP command.
const HANDSHAKE: u8 = 0x16;

/// A connection that reads nothing ahead until we have begun TLS.
#[derive(Debug)]
pub(super) struct Careful {
    stream: TcpStream,
    is_tls: bool,
}

impl Careful {
    /// Over a fresh connection.
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, is_tls: false }
    }
}

impl AsyncTokioStream for Careful {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Careful {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_tls || buffer.remaining() == 0 {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Careful {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.first() == Some(&HANDSHAKE) {
            self.is_tls = true;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
