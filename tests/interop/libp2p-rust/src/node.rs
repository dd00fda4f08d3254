//! The swarm, and requests to it while it runs.

use crate::{say, Answer, Failure};
use futures::StreamExt;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{
    identify, identity, noise, ping, tcp, tls, yamux, Multiaddr, PeerId, Swarm, SwarmBuilder,
};
use std::collections::HashMap;
use std::time::Duration;

type Event = SwarmEvent<BehaviourEvent>;

const LONG: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

pub struct Node {
    swarm: Swarm<Behaviour>,
    known: HashMap<PeerId, String>,
}

fn behaviour(key: &identity::Keypair) -> Behaviour {
    let agent = format!("rust-libp2p-peer/{}", env!("CARGO_PKG_VERSION"));
    Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("/interop/1.0.0".into(), key.public()).with_agent_version(agent),
        ),
        // Answers pings; sends its own so rarely that they do not disturb.
        ping: ping::Behaviour::new(ping::Config::new().with_interval(LONG)),
        stream: libp2p_stream::Behaviour::new(),
    }
}

fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(2048); // 512 are too few for a thousand at once
    config
}

impl Node {
    pub fn new(seed: u8, security: &str) -> Result<Self, Failure> {
        let key = identity::Keypair::ed25519_from_bytes([seed; 32])?;
        let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
        let settings = |config: libp2p::swarm::Config| {
            config
                .with_idle_connection_timeout(LONG)
                .with_max_negotiating_inbound_streams(2048)
        };
        let tcp = || tcp::Config::default().nodelay(true);
        let swarm = match security {
            "/tls/1.0.0" => builder
                .with_tcp(tcp(), tls::Config::new, muxer)?
                .with_behaviour(behaviour)?
                .with_swarm_config(settings)
                .build(),
            _ => builder
                .with_tcp(tcp(), noise::Config::new, muxer)?
                .with_behaviour(behaviour)?
                .with_swarm_config(settings)
                .build(),
        };
        Ok(Self {
            swarm,
            known: HashMap::new(),
        })
    }

    pub fn control(&self) -> libp2p_stream::Control {
        self.swarm.behaviour().stream.new_control()
    }

    pub async fn listen(&mut self, address: Multiaddr) -> Result<Multiaddr, Failure> {
        self.swarm.listen_on(address)?;
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = self.next().await {
                return Ok(address.with(libp2p::multiaddr::Protocol::P2p(
                    *self.swarm.local_peer_id(),
                )));
            }
        }
    }

    pub async fn next(&mut self) -> Event {
        self.swarm.select_next_some().await
    }

    pub fn print(&mut self, event: &Event) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                say("event", format!("connected {peer_id}"))
            }
            SwarmEvent::ConnectionClosed { peer_id, .. } => {
                say("event", format!("disconnected {peer_id}"))
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                let protocols: Vec<&str> =
                    info.protocols.iter().map(|name| name.as_ref()).collect();
                let text = format!("{} {}", info.agent_version, protocols.join(" "));
                self.known.insert(*peer_id, text);
                say(
                    "event",
                    format!("identified {peer_id} {}", info.agent_version),
                );
            }
            _ => {}
        }
    }

    /// Runs the swarm until the connection is established.
    pub async fn dial(&mut self, address: Multiaddr) -> Result<(PeerId, ConnectionId), Failure> {
        let options = DialOpts::from(address);
        let wanted = options.connection_id();
        self.swarm.dial(options)?;
        loop {
            let event = self.next().await;
            self.print(&event);
            match event {
                SwarmEvent::ConnectionEstablished {
                    connection_id,
                    peer_id,
                    ..
                } if connection_id == wanted => {
                    return Ok((peer_id, connection_id));
                }
                SwarmEvent::OutgoingConnectionError {
                    connection_id,
                    error,
                    ..
                } if connection_id == wanted => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
    }

    pub async fn close(&mut self, connection: ConnectionId) {
        if !self.swarm.close_connection(connection) {
            return;
        }
        loop {
            let event = self.next().await;
            self.print(&event);
            if matches!(event, SwarmEvent::ConnectionClosed { connection_id, .. } if connection_id == connection)
            {
                return;
            }
        }
    }

    pub fn disconnect(&mut self, peer: PeerId) -> Answer {
        match self.swarm.disconnect_peer_id(peer) {
            Ok(()) => Ok(format!("disconnect {peer}")),
            Err(()) => Err("not connected".into()),
        }
    }

    pub fn identified(&self, peer: &str) -> Answer {
        let known = self
            .known
            .get(&peer.parse()?)
            .ok_or("has not identified itself")?;
        Ok(format!("identify {known}"))
    }

    pub fn peers(&self) -> String {
        let names: Vec<String> = self
            .swarm
            .connected_peers()
            .map(PeerId::to_string)
            .collect();
        format!("peers {}", names.join(" ")).trim_end().into()
    }

    /// Closes connections orderly; otherwise the sockets close when the process ends.
    pub async fn leave(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        while self.swarm.connected_peers().next().is_some() {
            let event = self.next().await;
            self.print(&event);
        }
    }
}
