//! The commands that use streams.

use crate::protocols::{
    not_reset, receive, send_numbered, ECHO, LATE, PERF, PING, RESET, SUM, UNKNOWN,
};
use crate::{Answer, Failure};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::Control;
use sha2::{Digest, Sha256};
use std::io;
use std::time::{Duration, Instant};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

struct Request {
    control: Control,
    peer: PeerId,
    numbers: [Option<u64>; 2],
}

impl Request {
    async fn open(
        &mut self,
        name: StreamProtocol,
    ) -> Result<Stream, libp2p_stream::OpenStreamError> {
        self.control.open_stream(self.peer, name).await
    }

    fn number(&self, index: usize) -> u64 {
        self.numbers[index].unwrap_or(0)
    }
}

pub async fn run(
    control: Control,
    verb: String,
    peer: PeerId,
    numbers: [Option<u64>; 2],
) -> Answer {
    let request = Request {
        control,
        peer,
        numbers,
    };
    match tokio::time::timeout(COMMAND_TIMEOUT, execute(&verb, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{verb} took too long").into()),
    }
}

async fn execute(verb: &str, request: Request) -> Answer {
    match verb {
        "ping" => pings(verb, request, 1).await,
        "pings" => {
            let count = request.number(0);
            pings(verb, request, count).await
        }
        "echo" => echo(request).await,
        "upload" => {
            let size = request.number(0);
            let took = transfer(request, size, 0).await?;
            Ok(format!("upload {size} {}", took.as_nanos()))
        }
        "download" => {
            let size = request.number(0);
            let took = transfer(request, 0, size).await?;
            Ok(format!("download {size} {}", took.as_nanos()))
        }
        "streams" => streams(request).await,
        "half-close" => half_close(request).await,
        "reset" => reset(request).await,
        "reset-by" => reset_by(request).await,
        "unknown" => unknown(request).await,
        "perf" => perf(request).await,
        _ => Err(format!("unknown command: {verb}").into()),
    }
}

async fn pings(verb: &str, mut request: Request, count: u64) -> Answer {
    let mut stream = request.open(PING).await?;
    let mut times = Vec::new();
    for number in 0..count {
        let mut sent = [7u8; 32];
        sent[..8].copy_from_slice(&number.to_be_bytes());
        let mut got = [0u8; 32];
        let start = Instant::now();
        stream.write_all(&sent).await?;
        stream.flush().await?;
        stream.read_exact(&mut got).await?;
        times.push(start.elapsed().as_nanos());
        if sent != got {
            return Err("the ping response differs".into());
        }
    }
    stream.close().await?;
    times.sort_unstable();
    Ok(format!(
        "{verb} {} {}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    ))
}

async fn echo(mut request: Request) -> Answer {
    let size = request.number(0);
    let start = Instant::now();
    let (mut reader, mut writer) = request.open(ECHO).await?.split();
    let (mut sent, mut got) = (Sha256::new(), Sha256::new());
    let sending = async {
        send_numbered(&mut writer, size, Some(&mut sent)).await?;
        writer.close().await
    };
    futures::future::try_join(sending, receive(&mut reader, u64::MAX, Some(&mut got))).await?;
    if sent.finalize() != got.finalize() {
        return Err("the echo differs".into());
    }
    Ok(format!("echo {size} {}", start.elapsed().as_nanos()))
}

async fn equal_sum(stream: &mut Stream, sum: Sha256) -> io::Result<()> {
    let mut got = [0u8; 32];
    stream.read_exact(&mut got).await?;
    if got[..] != sum.finalize()[..] {
        return Err(io::Error::other("the checksums differ"));
    }
    Ok(())
}

/// The dialer's side of the sum protocol.
async fn transfer(mut request: Request, up: u64, down: u64) -> Result<Duration, Failure> {
    let mut stream = request.open(SUM).await?;
    let start = Instant::now();
    stream.write_all(&down.to_be_bytes()).await?;
    let (mut sent, mut got) = (Sha256::new(), Sha256::new());
    send_numbered(&mut stream, up, Some(&mut sent)).await?;
    stream.close().await?;
    equal_sum(&mut stream, sent).await?;
    receive(&mut stream, down, Some(&mut got)).await?;
    equal_sum(&mut stream, got).await?;
    match receive(&mut stream, u64::MAX, None).await? {
        0 => Ok(start.elapsed()),
        rest => Err(format!("{rest} bytes too many").into()),
    }
}

/// One of many streams that are open at once.
struct Exchange {
    stream: Stream,
    sent: String,
    back: Vec<u8>,
}

async fn begin(request: &mut Request, sent: String, wait: bool) -> Result<Exchange, Failure> {
    let stream = request.open(ECHO).await?;
    let mut exchange = Exchange {
        stream,
        sent,
        back: Vec::new(),
    };
    exchange.stream.write_all(exchange.sent.as_bytes()).await?;
    exchange.stream.flush().await?;
    if wait {
        exchange.back.resize(exchange.sent.len(), 0);
        exchange.stream.read_exact(&mut exchange.back).await?;
    }
    Ok(exchange)
}

async fn finish(exchange: &mut Exchange) -> Result<(), Failure> {
    exchange.stream.close().await?;
    exchange.stream.read_to_end(&mut exchange.back).await?;
    match String::from_utf8_lossy(&exchange.back) {
        got if got == exchange.sent => Ok(()),
        got => Err(format!("'{got}' came back").into()),
    }
}

/// Opens all streams at once, but waits for every burst-th before opening the next.
async fn streams(mut request: Request) -> Answer {
    let (count, burst) = (request.number(0), request.number(1).max(1));
    let start = Instant::now();
    let mut exchanges = Vec::new();
    for number in 0..count {
        let exchange = begin(
            &mut request,
            format!("stream {number}"),
            (number + 1) % burst == 0,
        )
        .await;
        exchanges
            .push(exchange.map_err(|error| format!("stream {number} at its beginning: {error}"))?);
    }
    for exchange in &mut exchanges {
        let finished = finish(exchange).await;
        finished.map_err(|error| format!("{} at its end: {error}", exchange.sent))?;
    }
    Ok(format!("streams {count} {}", start.elapsed().as_nanos()))
}

async fn half_close(mut request: Request) -> Answer {
    let size = request.number(0);
    let mut stream = request.open(LATE).await?;
    stream.flush().await?; // sends the proposal of the protocol; here the listener sends first
    let mut early = String::new();
    stream.read_to_string(&mut early).await?;
    if early != "early" {
        return Err(format!("'{early}' came before the end").into());
    }
    send_numbered(&mut stream, size, None).await?;
    stream.close().await?;
    Ok(format!("half-close {size}"))
}

async fn reset(mut request: Request) -> Answer {
    let mut stream = request.open(ECHO).await?;
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0u8]).await?;
    drop(stream); // open, so the peer sees a reset
    Ok("reset".into())
}

async fn reset_by(mut request: Request) -> Answer {
    let mut stream = request.open(RESET).await?;
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    if let Ok(size) = receive(&mut stream, u64::MAX, None).await {
        if not_reset(&mut stream).await.is_ok() {
            return Err(format!("{size} bytes and no reset").into());
        }
    }
    Ok("reset-by".into())
}

async fn unknown(mut request: Request) -> Answer {
    match request.open(UNKNOWN).await {
        Err(libp2p_stream::OpenStreamError::UnsupportedProtocol(name)) => {
            Ok(format!("unknown {name}"))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("an unknown protocol was agreed".into()),
    }
}

async fn perf(mut request: Request) -> Answer {
    let (up, down) = (request.number(0), request.number(1));
    let mut stream = request.open(PERF).await?;
    let start = Instant::now();
    stream.write_all(&down.to_be_bytes()).await?;
    send_numbered(&mut stream, up, None).await?;
    stream.close().await?;
    let got = receive(&mut stream, u64::MAX, None).await?;
    if got != down {
        return Err(format!("{got} bytes came, not {down}").into());
    }
    Ok(format!("perf {up} {down} {}", start.elapsed().as_nanos()))
}
