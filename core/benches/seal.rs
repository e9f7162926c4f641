//! Speed of sealing and opening on one core, beside the cipher crate alone on the same bytes, round by round in turn.
//!
//! Prints one JSON line per system and case: `seal` and `open` take a whole object and return a new one, all of
//! [`seal::seal`] included; `seal-stream` and `open-stream` pass it through a buffer in pieces, in bounded memory.
//! `refuse` is what an envelope for 64 others costs whoever is not addressed; `overhead` is what it grows by with every
//! recipient, and `overhead-one` everything that is added to empty content for a single one.

use std::hint::black_box;
use std::time::Instant;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use chorus_core::bounds;
use chorus_core::key::Keypair;
use chorus_core::seal::{
    self, CHUNK, Context, KeyCertificate, MAX_RECIPIENTS, Opener, Recipient, SealError, SealSecret,
    Sealer, Validity,
};
use chorus_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut content = vec![0; OBJECT];
    rng.fill_bytes(&mut content);
    let context = Context {
        network: "main",
        author: Keypair::from_seed(&[2; 32]).peer_id(),
        purpose: "weights",
    };
    let secrets: Vec<_> = (0..=MAX_RECIPIENTS)
        .map(|_| SealSecret::generate(&mut rng))
        .collect();
    let recipients: Vec<_> = secrets.iter().map(recipient).collect::<Result<_, _>>()?;
    let ([secret, others @ ..], [first, rest @ ..]) = (&secrets[..], &recipients[..]) else {
        return Err("no secrets".into());
    };
    let (one, many) = (&[*first][..], rest);

    let cipher = ChaCha20Poly1305::new((&*secret.seed()).into());
    let envelope = seal::seal(&content, one, &context, &mut rng)?;
    let (sealed, tag) = alone(&cipher, &content);
    let chunks: Vec<_> = content
        .chunks(CHUNK)
        .map(|chunk| alone(&cipher, chunk))
        .collect();

    compare(
        "seal",
        || seal::seal(&content, one, &context, &mut rng),
        || alone(&cipher, &content),
    )?;
    compare(
        "open",
        || seal::open(&envelope, [secret], &context),
        || alone_open(&cipher, &sealed, &tag, &mut vec![0; OBJECT]),
    )?;
    let (mut piece, mut chunk) = (Vec::with_capacity(2 * PIECE), vec![0; CHUNK]);
    compare(
        "seal-stream",
        || {
            piece.clear();
            let mut sealer = Sealer::start(one, &context, &mut rng, &mut piece)?;
            for bytes in content.chunks(PIECE) {
                piece.clear();
                sealer.update(bytes, &mut piece)?;
                black_box(&piece);
            }
            sealer.finish(&mut piece)
        },
        || {
            for bytes in content.chunks(CHUNK) {
                let room = &mut chunk[..bytes.len()];
                black_box(
                    InOutBuf::new(bytes, room).map(|buffer| {
                        cipher.encrypt_inout_detached(&Nonce::default(), &[], buffer)
                    }),
                )
                .ok();
            }
        },
    )?;
    let (mut piece, mut chunk) = (Vec::with_capacity(2 * PIECE), vec![0; CHUNK]);
    compare(
        "open-stream",
        || {
            let mut opener = Opener::new([secret], &context)?;
            for bytes in envelope.chunks(PIECE) {
                piece.clear();
                opener.update(bytes, &mut piece)?;
                black_box(&piece);
            }
            opener.finish(&mut piece)
        },
        || {
            for (sealed, tag) in &chunks {
                alone_open(&cipher, sealed, tag, &mut chunk[..sealed.len()]);
            }
        },
    )?;

    let for_many = seal::seal(&[], many, &context, &mut rng)?;
    let for_one = seal::seal(&[], one, &context, &mut rng)?;
    assert!(seal::open(&for_many, [&others[0]], &context).is_ok());
    let mut times = sample(|| black_box(seal::open(&for_many, [secret], &context)).is_err());
    let millis = median(&mut times) * 1e3;
    report("chorus", "refuse", millis, "ms");
    let slot = (for_many.len() - for_one.len()) as f64 / (MAX_RECIPIENTS - 1) as f64;
    report("chorus", "overhead", slot, "B");
    report("chorus", "overhead-one", for_one.len() as f64, "B");
    Ok(())
}

/// Runs both systems in turn on [`OBJECT`] bytes, and prints the median of each in megabytes of content per second.
fn compare<A, B>(
    case: &str,
    mut chorus: impl FnMut() -> Result<A, SealError>,
    mut cipher: impl FnMut() -> B,
) -> Result<(), SealError> {
    black_box((chorus()?, cipher()));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(time(|| chorus().is_ok()));
        theirs.push(time(|| {
            black_box(cipher());
            true
        }));
    }
    for (system, times) in [("chorus", &mut ours), ("cipher", &mut theirs)] {
        report(system, case, OBJECT as f64 / median(times) / 1e6, "MB/s");
    }
    Ok(())
}

fn sample(mut run: impl FnMut() -> bool) -> Vec<f64> {
    (0..ROUNDS).map(|_| time(&mut run)).collect()
}

/// Returns the seconds that `run` takes.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn time(run: impl FnOnce() -> bool) -> f64 {
    let start = Instant::now();
    assert!(black_box(run()), "what is measured must succeed");
    start.elapsed().as_secs_f64()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(system: &str, case: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"seal","system":"{system}","case":"{case}","value":{value:.3},"unit":"{unit}"}}"#
    );
}

/// Seals `content` with the cipher crate in one call into new memory.
fn alone(cipher: &ChaCha20Poly1305, content: &[u8]) -> (Vec<u8>, Tag) {
    let mut sealed = vec![0; content.len()];
    let tag = InOutBuf::new(content, &mut sealed).ok().and_then(|buffer| {
        cipher
            .encrypt_inout_detached(&Nonce::default(), &[], buffer)
            .ok()
    });
    (sealed, tag.unwrap_or_default())
}

/// Opens with the cipher crate in one call what [`alone`] sealed.
fn alone_open(cipher: &ChaCha20Poly1305, sealed: &[u8], tag: &Tag, content: &mut [u8]) {
    let opened = InOutBuf::new(sealed, content).is_ok_and(|buffer| {
        cipher
            .decrypt_inout_detached(&Nonce::default(), &[], buffer, tag)
            .is_ok()
    });
    assert!(black_box(opened), "the cipher must open what it sealed");
    black_box(content);
}

fn recipient(secret: &SealSecret) -> Result<Recipient, seal::SealKeyError> {
    let now = Timestamp::from_millis(1_795_233_600_000);
    let validity = Validity {
        epoch: 1,
        from: now,
        until: now.saturating_add(Validity::MAX),
    };
    let identity = Keypair::from_seed(&[2; 32]);
    KeyCertificate::issue(&identity, "main", secret.public(), validity)?.recipient(now)
}

/// Bytes of content: the largest object that is shared unless configured otherwise.
const OBJECT: usize = bounds::DEFAULT_MAX_OBJECT as usize;
/// Bytes at a time in the streaming cases: the largest block.
const PIECE: usize = bounds::MAX_BLOCK;
/// Rounds, of which the median is reported: some 8 ms per system and case each.
const ROUNDS: usize = 51;
