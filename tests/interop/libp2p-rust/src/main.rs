//! A rust-libp2p peer that executes the commands of ../README.md, one per line from its standard input.
//!
//! Usage: peer SEED MULTIADDR SECURITY

mod commands;
mod node;
mod protocols;

use libp2p::{Multiaddr, PeerId};
use node::Node;
use std::error::Error;
use tokio::io::{AsyncBufReadExt, BufReader};

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Answer = Result<String, Failure>;

pub fn say(kind: &str, text: impl std::fmt::Display) {
    println!("{kind} {}", text.to_string().replace('\n', " "));
}

fn report(answer: Answer) {
    match answer {
        Ok(text) => say("ok", text),
        Err(error) => say("error", error),
    }
}

/// The commands that need the swarm itself; all others are tasks that open streams.
async fn execute(node: &mut Node, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| words.get(index).and_then(|word| word.parse().ok());
    match words[..] {
        ["peers"] => report(Ok(node.peers())),
        ["dial", address] => report(dial(node, address).await),
        ["handshakes", address, _] => {
            report(handshakes(node, address, number(2).unwrap_or(1)).await)
        }
        ["disconnect", peer] => report(match peer.parse::<PeerId>() {
            Ok(peer) => node.disconnect(peer),
            Err(error) => Err(error.into()),
        }),
        ["identify", peer] => report(node.identified(peer)),
        [verb, peer, ..] => match peer.parse::<PeerId>() {
            Ok(peer) => {
                let numbers = [number(2), number(3)];
                let work = commands::run(node.control(), verb.to_string(), peer, numbers);
                tokio::spawn(async move { report(work.await) });
            }
            Err(error) => say("error", error),
        },
        _ => say("error", format!("unknown command: {line}")),
    }
}

async fn dial(node: &mut Node, address: &str) -> Answer {
    let (peer, _) = node.dial(address.parse::<Multiaddr>()?).await?;
    Ok(format!("dial {peer}"))
}

/// Times connecting, not disconnecting.
async fn handshakes(node: &mut Node, address: &str, count: u64) -> Answer {
    let address: Multiaddr = address.parse()?;
    let mut spent = std::time::Duration::ZERO;
    for _ in 0..count {
        let start = std::time::Instant::now();
        let (_, connection) = node.dial(address.clone()).await?;
        spent += start.elapsed();
        node.close(connection).await;
    }
    Ok(format!("handshakes {count} {}", spent.as_nanos()))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, seed, listen, security] = &arguments[..] else {
        return Err("usage: peer SEED MULTIADDR SECURITY".into());
    };
    let mut node = Node::new(seed.parse()?, security)?;
    let address = node.listen(listen.parse()?).await?;
    protocols::serve(node.control());
    say("ok", format!("listen {address}"));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) if line != "quit" => execute(&mut node, &line).await,
                _ => break,
            },
            event = node.next() => node.print(&event),
        }
    }
    node.leave().await;
    say("ok", "quit");
    Ok(())
}
