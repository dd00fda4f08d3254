//! The protocols that a peer serves, and the bytes they carry.

use crate::say;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::Control;
use sha2::{Digest, Sha256};
use std::future::Future;
use std::io;

pub const ECHO: StreamProtocol = StreamProtocol::new("/interop/echo/0.0.1");
pub const SUM: StreamProtocol = StreamProtocol::new("/interop/sum/0.0.1");
pub const LATE: StreamProtocol = StreamProtocol::new("/interop/late/0.0.1");
pub const RESET: StreamProtocol = StreamProtocol::new("/interop/reset/0.0.1");
pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
pub const PING: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");
pub const UNKNOWN: StreamProtocol = StreamProtocol::new("/interop/unknown/0.0.1");

const BLOCK: usize = 64 * 1024;

/// Writes `size` bytes in blocks, the first eight bytes of each its number; `sum` sees them too.
pub async fn send_numbered<W>(to: &mut W, size: u64, mut sum: Option<&mut Sha256>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut block: Vec<u8> = (0..BLOCK).map(|i| (i * 7 + i / 251) as u8).collect();
    let mut left = size;
    for number in 0u64.. {
        if left == 0 {
            break;
        }
        block[..8].copy_from_slice(&number.to_be_bytes());
        let piece = &block[..left.min(BLOCK as u64) as usize];
        if let Some(sum) = sum.as_deref_mut() {
            sum.update(piece);
        }
        to.write_all(piece).await?;
        left -= piece.len() as u64;
    }
    to.flush().await
}

/// Reads to the end, or `limit` bytes if that is sooner; returns their number.
pub async fn receive<R>(from: &mut R, limit: u64, mut sum: Option<&mut Sha256>) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
{
    let mut block = vec![0u8; BLOCK];
    let mut got = 0;
    while got < limit {
        let most = (limit - got).min(BLOCK as u64) as usize;
        let size = from.read(&mut block[..most]).await?;
        if size == 0 {
            break;
        }
        if let Some(sum) = sum.as_deref_mut() {
            sum.update(&block[..size]);
        }
        got += size as u64;
    }
    Ok(got)
}

/// Fails if what looked like the end of `stream` was a reset: reading does not distinguish them, writing does.
pub async fn not_reset(stream: &mut Stream) -> io::Result<()> {
    stream.write(&[]).await.map(|_| ())
}

async fn copy_back(stream: &mut Stream) -> io::Result<()> {
    let mut block = vec![0u8; BLOCK];
    loop {
        match stream.read(&mut block).await? {
            0 => return not_reset(stream).await,
            size => stream.write_all(&block[..size]).await?,
        }
        stream.flush().await?;
    }
}

async fn echo(peer: PeerId, mut stream: Stream) -> io::Result<()> {
    if let Err(error) = copy_back(&mut stream).await {
        say("event", format!("reset {peer}"));
        return Err(error);
    }
    stream.close().await
}

async fn sum(_: PeerId, mut stream: Stream) -> io::Result<()> {
    let mut want = [0u8; 8];
    stream.read_exact(&mut want).await?;
    let mut sum = Sha256::new();
    receive(&mut stream, u64::MAX, Some(&mut sum)).await?;
    stream.write_all(&sum.finalize_reset()).await?;
    send_numbered(&mut stream, u64::from_be_bytes(want), Some(&mut sum)).await?;
    stream.write_all(&sum.finalize()).await?;
    stream.close().await
}

async fn late(peer: PeerId, mut stream: Stream) -> io::Result<()> {
    stream.write_all(b"early").await?;
    stream.close().await?; // the local half
    let size = receive(&mut stream, u64::MAX, None).await?;
    say("event", format!("late {peer} {size}"));
    Ok(())
}

async fn reset(_: PeerId, mut stream: Stream) -> io::Result<()> {
    stream.read_exact(&mut [0u8]).await?;
    drop(stream); // open, so the peer sees a reset
    Ok(())
}

async fn perf(_: PeerId, mut stream: Stream) -> io::Result<()> {
    let mut want = [0u8; 8];
    stream.read_exact(&mut want).await?;
    receive(&mut stream, u64::MAX, None).await?;
    send_numbered(&mut stream, u64::from_be_bytes(want), None).await?;
    stream.close().await
}

fn answer<Work, Done>(mut control: Control, name: StreamProtocol, work: Work)
where
    Work: Fn(PeerId, Stream) -> Done + Send + 'static,
    Done: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut incoming = control
        .accept(name)
        .expect("each protocol is answered once");
    tokio::spawn(async move {
        while let Some((peer, stream)) = incoming.next().await {
            tokio::spawn(work(peer, stream)); // a stream that fails is dropped, which resets it
        }
    });
}

pub fn serve(control: Control) {
    answer(control.clone(), ECHO, echo);
    answer(control.clone(), SUM, sum);
    answer(control.clone(), LATE, late);
    answer(control.clone(), RESET, reset);
    answer(control, PERF, perf);
}
