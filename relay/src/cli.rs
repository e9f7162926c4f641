//! The command line, as contract.md fixes it.

use std::{path::PathBuf, str::FromStr};

use chorus_core::{
    digest::{Codec, ContentId},
    key::PeerId,
    packet::When,
};
use clap::{Args, Parser, Subcommand};
use libp2p::Multiaddr;

use crate::{
    bootstrap::{Bootstrap, Url},
    config::{Config, ConfigError},
};

/// Serves the Chorus page, introduces browsers to each other and stores blocks.
#[derive(Debug, Parser)]
#[command(name = "chorus-relay", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a relay until SIGTERM or SIGINT; prints one line of JSON when it is ready.
    Run(RunArgs),
    /// Makes the identity and certificate in the data directory, if there are none, and prints the peer id.
    Keygen(KeygenArgs),
    /// Prints the effective configuration, or names the field, the value and the bound.
    Check(CheckArgs),
    /// Asks a running relay how it is; prints one line of JSON. Exit status 1 when it is not ready.
    Status(StatusArgs),
    /// Cleans a file of personal information, says on standard error what leaves, shares it and prints its packet's content
    /// id once the relay has stored it.
    Share(ShareArgs),
    /// Fetches the content of a packet, verifies it and writes it to a file.
    Get(GetArgs),
    /// Lists the packets that the relay knows, newest first.
    Query(QueryArgs),
    /// Takes packets back: the relay and every peer that hears of it forget them. Prints the revocation's content id.
    Revoke(RevokeArgs),
    /// Stays in the mesh as a peer without a page until SIGTERM or SIGINT.
    Peer(PeerArgs),
    /// Prints everything that was shared from a data directory, and what is left of its privacy budget.
    Ledger(LedgerArgs),
    /// Makes engrams of safetensors files, and safetensors files of engrams.
    #[command(subcommand)]
    Engram(EngramCommand),
}

/// What to do with an engram.
#[derive(Debug, Subcommand)]
pub(crate) enum EngramCommand {
    /// Packs a safetensors file, without loss or in layers that are lossy first; prints one line of JSON with sizes and the
    /// engram's digest.
    Pack(PackArgs),
    /// Unpacks an engram to the safetensors file that it was made of, to the byte unless it was packed with loss.
    Unpack(UnpackArgs),
    /// Checks every chunk of an engram against its digest and lists its tensors and layers.
    Info(InfoArgs),
    /// Packs and unpacks a safetensors file in memory with every codec; prints sizes and speeds on one core.
    Bench(BenchArgs),
}

/// How hard `engram pack` tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PackLevel {
    /// As fast as a disk.
    Fast,
    /// A few per cent smaller: a learned model, some million numbers a second.
    Neural,
    /// The smallest of all codecs for each tensor.
    Small,
    /// No codec: chunks and digests alone.
    Plain,
    /// Planes of bytes alone.
    Plane,
    /// Deflate alone, as gzip has it.
    Deflate,
    /// LZMA alone, as xz has it.
    Lzma,
    /// Pcodec alone.
    Pco,
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The safetensors file.
    pub(crate) file: PathBuf,
    /// Where to write the engram [default: FILE with .engram behind it]. It appears only when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Codes the difference from the tensors of the same name and shape in this safetensors file, where that is smaller.
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// How hard to try.
    #[arg(long, value_enum, default_value = "fast")]
    pub(crate) level: PackLevel,
    /// Packs floats of 16 and 32 bits with loss, in so many bits a number. The file is held in memory.
    #[arg(long, value_name = "N", group = "lossy", conflicts_with = "level")]
    pub(crate) bits: Option<f64>,
    /// Packs floats of 16 and 32 bits with loss, to so many decibels of signal to noise.
    #[arg(
        long,
        value_name = "N",
        group = "lossy",
        conflicts_with = "level",
        allow_negative_numbers = true
    )]
    pub(crate) decibels: Option<f64>,
    /// Lossy layers: each is four times as exact as the one before it, which is what --bits and --decibels are about.
    #[arg(long, value_name = "K", default_value = "1", requires = "lossy",
        value_parser = clap::value_parser!(u8).range(1..=chorus_core::engram::hybrid::MAX_LAYERS as i64))]
    pub(crate) layers: u8,
    /// Adds a last layer that brings back every bit.
    #[arg(long, requires = "lossy")]
    pub(crate) exact: bool,
    /// Replaces what is at the output.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnpackArgs {
    /// The engram.
    pub(crate) file: PathBuf,
    /// Where to write the safetensors file [default: FILE without .engram]. It appears only when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The safetensors file that it was packed against.
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// Unpacks this tensor alone to the --output, and reads nothing of the others.
    #[arg(long, value_name = "NAME", requires = "output")]
    pub(crate) tensor: Option<String>,
    /// Stops after so many layers of an engram that is lossy first, and needs no more of the file [default: all].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..), conflicts_with = "tensor")]
    pub(crate) layers: Option<u8>,
    /// Most bytes of numbers to unpack; of what is lossy first, which is held in memory, at most 8 GB.
    #[arg(long, value_name = "BYTES", default_value_t = chorus_core::engram::Limits::default().max_bytes)]
    pub(crate) max_bytes: u64,
    /// Replaces what is at the output.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The engram.
    pub(crate) file: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The safetensors file.
    pub(crate) file: PathBuf,
    /// Codes the difference from the tensors of the same name and shape in this safetensors file.
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Reads the configuration from this TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Keeps key, certificate, packets and blocks here.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Serves the page at this address [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Listens there instead of on the default addresses; may be repeated. Port 0 means any free port.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,
    /// Announces this address instead of the listen addresses; may be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) external: Vec<String>,
    /// Stays connected to this relay; may be repeated.
    #[arg(long, value_name = "MULTIADDR|URL")]
    pub(crate) bootstrap: Vec<String>,
    /// Network name [default: main].
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Serves the page from this directory instead of the built one.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) page: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// The data directory [default: as for `run`].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The file to check; without it, the defaults are printed.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The relay's HTTP address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: Url,
}

/// Which relay a headless peer talks to.
#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// The relay: its HTTP address or a multiaddr ending in /p2p/…
    #[arg(long, value_name = "URL|MULTIADDR")]
    pub(crate) relay: Bootstrap,
    /// Network name [default: the one that the relay's URL names, else main].
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The file to share.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
    /// A JSON object with any of `packet_type`, `instructions`, `quality_metrics` and `ttl` (seconds).
    #[arg(long, value_name = "METADATA")]
    pub(crate) json: Option<String>,
    /// Seals the file to this peer, so that nobody else can read it; may be repeated. Of METADATA only `packet_type` and
    /// `quality_metrics`, which are sealed too, and `ttl` are taken.
    #[arg(long, value_name = "PEER")]
    pub(crate) recipient: Vec<PeerId>,
    /// Asks others to use it at this time: `immediate`; once they measured enough of something, such as
    /// `performance_threshold_0.8`; or at once and then again after so many seconds, such as `periodic_3600`.
    #[arg(long, value_name = "WHEN", conflicts_with = "recipient")]
    pub(crate) when: Option<When>,
    /// Asks others to use it only after they used the packet with this content id.
    #[arg(long, value_name = "CID", value_parser = packet_id, conflicts_with_all = ["recipient", "supersedes"])]
    pub(crate) after: Option<ContentId>,
    /// Puts it in place of the packet with this content id, which the identity in the data directory signed: others list
    /// this one instead, and use it after that one.
    #[arg(long, value_name = "CID", value_parser = packet_id, requires = "data_dir", conflicts_with = "recipient")]
    pub(crate) supersedes: Option<ContentId>,
    /// Tells a number about you that is 0 or more, such as `examples=1797`, as a range which at least five others told too;
    /// where there is none it is not told. May be repeated.
    #[arg(long, value_name = "NAME=NUMBER")]
    pub(crate) fact: Vec<NamedFact>,
    /// Signs with the identity in this data directory instead of a new one, publishes the key that others seal to, and
    /// lists there what left.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Prints what would leave, as JSON, and shares nothing.
    #[arg(long)]
    pub(crate) preview: bool,
    /// Leaves the content as it is, whatever is found in it. Its name and METADATA are cleaned all the same, and private
    /// keys are refused all the same.
    #[arg(long)]
    pub(crate) verbatim: bool,
    /// Clips the tensors of a safetensors file, all together, to this L2 norm before noise is added.
    #[arg(long, value_name = "N", requires = "noise")]
    pub(crate) clip_norm: Option<f64>,
    /// Adds Gaussian noise of this standard deviation, in clip norms, to the tensors of a safetensors file; paid from the
    /// privacy budget in the data directory.
    #[arg(long, value_name = "N", requires = "clip_norm", requires = "data_dir")]
    pub(crate) noise: Option<f64>,
}

/// A number about the owner, and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedFact {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl FromStr for NamedFact {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("a fact must be NAME=NUMBER with a number of 0 or more, got {text:?}");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let value = value.parse().ok();
        let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
        match value {
            Some(value) if !name.is_empty() => Ok(Self {
                name: name.into(),
                value,
            }),
            Some(_) | None => Err(wrong()),
        }
    }
}

/// Reads the content id of a packet, which is not that of a block of content.
fn packet_id(text: &str) -> Result<ContentId, String> {
    let cid: ContentId = text
        .parse()
        .map_err(|error: chorus_core::digest::DigestError| error.to_string())?;
    match cid.codec() {
        Codec::DagCbor => Ok(cid),
        Codec::Raw => Err("this names a block of content, no packet".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Prints one JSON object: `{"version":1,"entries":[…],"budget":{…}}`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The packet's content id.
    pub(crate) cid: ContentId,
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
    /// Where to write the content; `-` is standard output. A file appears only when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Largest content to fetch, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = chorus_core::bounds::DEFAULT_MAX_OBJECT)]
    pub(crate) max_bytes: u64,
    /// Opens what is sealed to the peer with this data directory, and publishes the key that others seal to.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
    /// Only packets of this type.
    #[arg(long = "type", value_name = "T")]
    pub(crate) packet_type: Option<String>,
    /// At most so many packets.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Prints one JSON object per line: `{"cid":…,"packet":{…}}`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The packets' content ids, at most 64.
    #[arg(required = true, num_args = 1..=chorus_core::packet::MAX_REVOKED)]
    pub(crate) cids: Vec<ContentId>,
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
    /// The data directory with the identity that signed them.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
    /// Keeps identity, sealing keys, packets and blocks here.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Listens there, so that others can dial this peer; may be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<Multiaddr>,
}

impl RunArgs {
    /// The file's configuration with the command line's on top, checked.
    ///
    /// # Errors
    /// The file does not parse, or a value is out of its bound.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(dir) = &self.data_dir {
            config.data_dir.clone_from(dir);
        }
        if let Some(addr) = &self.http {
            config.http.listen.clone_from(addr);
        }
        if let Some(network) = &self.network {
            config.network.clone_from(network);
        }
        for (list, given) in [
            (&mut config.listen, &self.listen),
            (&mut config.external, &self.external),
            (&mut config.bootstrap, &self.bootstrap),
        ] {
            if !given.is_empty() {
                list.clone_from(given);
            }
        }
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_override_the_defaults_and_are_checked() {
        let parse = |args: &[&str]| match Cli::try_parse_from(args).unwrap().command {
            Command::Run(args) => args.config(),
            other => panic!("{other:?}"),
        };
        let config = parse(&[
            "chorus-relay",
            "run",
            "--http",
            "127.0.0.1:0",
            "--listen",
            "/ip4/127.0.0.1/tcp/0/ws",
        ])
        .unwrap();
        assert_eq!(config.http.listen, "127.0.0.1:0");
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/0/ws"]);
        assert_eq!(config.network, "main");
        let error = parse(&["chorus-relay", "run", "--http", "nonsense"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "http.listen must be IP:PORT, for example 127.0.0.1:8080, got \"nonsense\""
        );
    }

    #[test]
    fn what_a_packet_asks_for_is_read_and_what_is_wrong_is_named() {
        let cid = ContentId::of(Codec::DagCbor, b"packet").to_string();
        let parse = |more: &[&str]| {
            let first = [
                "chorus-relay",
                "share",
                "a.txt",
                "--relay",
                "http://127.0.0.1:8080",
            ];
            match Cli::try_parse_from([&first[..], more].concat()) {
                Ok(Cli {
                    command: Command::Share(args),
                }) => Ok(args),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let args = parse(&["--when", "performance_threshold_0.8", "--after", &cid]).unwrap();
        assert_eq!(args.after.unwrap().to_string(), cid);
        let when = When::Threshold {
            metric: "performance".into(),
            value: 0.8,
        };
        assert_eq!(args.when, Some(when));
        let args = parse(&["--fact", "examples=1797", "--fact", "a=b=1"]);
        assert!(args.unwrap_err().contains("NAME=NUMBER"));
        let args = parse(&["--fact", "examples=1797"]).unwrap();
        assert_eq!(args.fact[0].value, 1797.0);

        let block = ContentId::of(Codec::Raw, b"block").to_string();
        let peer = chorus_core::key::Keypair::from_seed(&[1; 32])
            .peer_id()
            .to_string();
        for (wrong, why) in [
            (
                &["--when", "soon"][..],
                "immediate, METRIC_threshold_VALUE or periodic_SECS",
            ),
            (&["--when", "periodic_0"], "periodic_SECS"),
            (
                &["--when", "accuracy_threshold_NaN"],
                "METRIC_threshold_VALUE",
            ),
            (&["--after", "nonsense"], "--after"),
            (&["--after", &block], "a block of content, no packet"),
            (&["--supersedes", &cid], "--data-dir"),
            (
                &["--supersedes", &cid, "--data-dir", "d", "--after", &cid],
                "cannot be used with",
            ),
            (
                &["--when", "immediate", "--recipient", &peer],
                "cannot be used with",
            ),
            (&["--fact", "examples=-1"], "0 or more"),
            (&["--fact", "=1"], "NAME=NUMBER"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_relay_must_be_a_url_or_an_address_with_a_peer_id() {
        Cli::try_parse_from(["chorus-relay", "query", "--relay", "http://127.0.0.1:8080"]).unwrap();
        Cli::try_parse_from(["chorus-relay", "query", "--relay", "/ip4/1.2.3.4/tcp/1"])
            .unwrap_err();
    }
}
