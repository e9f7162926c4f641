use alloc::{format, string::String, vec};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;

const FIN: [u8; 3] = [2, 8, 0];
const STOP_SENDING: [u8; 3] = [2, 8, 1];
const RESET_STREAM: [u8; 3] = [2, 8, 2];
const FIN_ACK: [u8; 3] = [2, 8, 3];

fn write(stream: &mut Stream, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![];
    assert_eq!(stream.write(data, &mut frame), Ok(data.len()));
    frame
}

fn read_all(stream: &mut Stream) -> Vec<u8> {
    let mut all = vec![];
    let mut into = [0; 1000];
    while let Ok(Read::Data(len)) = stream.read(&mut into) {
        all.extend_from_slice(&into[..len]);
    }
    all
}

fn controls(stream: &mut Stream) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| stream.poll_control()).collect()
}

/// Carries control frames both ways until neither has any.
fn settle(a: &mut Stream, b: &mut Stream) {
    loop {
        let (to_b, to_a) = (controls(a), controls(b));
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
        to_b.into_iter().for_each(|frame| b.receive(frame).unwrap());
        to_a.into_iter().for_each(|frame| a.receive(frame).unwrap());
    }
}

#[test]
fn frames_have_the_bytes_the_specification_gives() {
    let mut stream = Stream::new(DEFAULT_MAX_FRAME);
    let frame: String = write(&mut stream, b"hi")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(frame, "0412026869");
    stream.finish();
    assert_eq!(controls(&mut stream), [FIN]);
}

#[test]
fn the_largest_frame_is_within_the_agreed_size_and_fills_it() {
    for max_frame in [DEFAULT_MAX_FRAME, 65_536, LARGE_MAX_FRAME, usize::MAX, 0] {
        let mut stream = Stream::new(max_frame);
        let max_frame = max_frame.clamp(DEFAULT_MAX_FRAME, LARGE_MAX_FRAME);
        let (data, mut frame) = (vec![7; 300_000], vec![]);
        let len = stream.write(&data, &mut frame).unwrap();
        assert_eq!(len, stream.max_payload());
        assert!(
            frame.len() <= max_frame && frame.len() > max_frame - 8,
            "{} of {max_frame}",
            frame.len()
        );
        let mut other = Stream::new(0);
        other.receive(frame).unwrap();
        assert_eq!(other.buffered(), len);
        assert_eq!(read_all(&mut other), data[..len]);
    }
}

#[test]
fn frames_split_and_joined_anywhere_give_the_same_bytes() {
    let mut sender = Stream::new(0);
    let mut wire = vec![];
    let mut sent = vec![];
    for len in [0, 1, 127, 128, 129, 5000, 16_000] {
        let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
        wire.extend(write(&mut sender, &data));
        sent.extend(data);
    }
    sender.finish();
    wire.extend(controls(&mut sender).concat());
    for size in [1, 2, 3, 100, 16_384, wire.len()] {
        let mut receiver = Stream::new(0);
        for chunk in wire.chunks(size) {
            receiver.receive(chunk.to_vec()).unwrap();
        }
        assert_eq!(read_all(&mut receiver), sent);
        assert_eq!(receiver.read(&mut [0; 1]), Ok(Read::End));
        assert_eq!(controls(&mut receiver), [FIN_ACK]);
    }
}

#[test]
fn a_half_closed_stream_still_carries_the_other_direction() {
    let (mut a, mut b) = (Stream::new(0), Stream::new(0));
    a.finish();
    settle(&mut a, &mut b);
    assert_eq!(a.write(b"x", &mut vec![]), Err(StreamError::Finished));
    assert_eq!(b.read(&mut [0; 8]), Ok(Read::End));
    let frame = write(&mut b, b"answer");
    a.receive(frame).unwrap();
    assert_eq!(read_all(&mut a), b"answer");
    assert!(!a.is_done() && !b.is_done());
    b.finish();
    settle(&mut a, &mut b);
    assert!(a.is_done() && b.is_done());
    assert_eq!(a.read(&mut [0; 8]), Ok(Read::End));
}

#[test]
fn both_sides_may_finish_at_the_same_time() {
    let (mut a, mut b) = (Stream::new(0), Stream::new(0));
    a.finish();
    b.finish();
    settle(&mut a, &mut b);
    assert!(a.is_done() && b.is_done());
}

#[test]
fn data_and_fin_in_one_frame_are_data_then_end() {
    let mut stream = Stream::new(0);
    stream.receive(vec![5, 8, 0, 0x12, 1, b'x']).unwrap();
    assert_eq!(read_all(&mut stream), b"x");
    assert_eq!(stream.read(&mut [0; 1]), Ok(Read::End));
}

#[test]
fn a_reset_ends_both_halves_and_is_answered_by_nothing() {
    let mut stream = Stream::new(0);
    let frame = write(&mut Stream::new(0), b"unread");
    stream.receive(frame).unwrap();
    stream.receive(RESET_STREAM.to_vec()).unwrap();
    assert_eq!(stream.read(&mut [0; 8]), Err(StreamError::Reset));
    assert_eq!(stream.write(b"x", &mut vec![]), Err(StreamError::Reset));
    assert!(controls(&mut stream).is_empty());
    assert!(stream.is_done());
}

#[test]
fn stop_sending_is_never_answered_by_reset_and_fin_still_goes_out() {
    let mut stream = Stream::new(0);
    stream.receive(STOP_SENDING.to_vec()).unwrap();
    assert!(controls(&mut stream).is_empty());
    assert_eq!(stream.write(b"x", &mut vec![]), Err(StreamError::Stopped));
    stream.receive(FIN.to_vec()).unwrap();
    assert_eq!(controls(&mut stream), [FIN_ACK]);
    stream.abandon();
    assert_eq!(controls(&mut stream), [FIN]);
    stream.receive(FIN_ACK.to_vec()).unwrap();
    assert!(stream.is_done());
}

#[test]
fn dropping_tells_the_remote_in_the_mildest_way() {
    let mut open = Stream::new(0);
    open.abandon();
    assert_eq!(controls(&mut open), [RESET_STREAM]);
    open.lost();
    assert!(open.is_done());

    let mut answered = Stream::new(0);
    answered.receive(FIN.to_vec()).unwrap();
    answered.abandon();
    assert_eq!(controls(&mut answered), [FIN_ACK, FIN]);

    let (mut asked, mut remote) = (Stream::new(0), Stream::new(0));
    asked.finish();
    asked.abandon();
    settle(&mut asked, &mut remote);
    assert_eq!(remote.write(b"x", &mut vec![]), Err(StreamError::Stopped));
    remote.abandon();
    settle(&mut asked, &mut remote);
    assert!(asked.is_done() && remote.is_done());
}

#[test]
fn a_lost_channel_gives_what_had_arrived_and_then_an_error() {
    let mut stream = Stream::new(0);
    let frame = write(&mut Stream::new(0), b"last words");
    stream.receive(frame).unwrap();
    stream.lost();
    assert_eq!(read_all(&mut stream), b"last words");
    assert_eq!(stream.read(&mut [0; 8]), Err(StreamError::Closed));
    assert_eq!(stream.write(b"x", &mut vec![]), Err(StreamError::Closed));
    assert!(stream.is_done());

    let mut finished = Stream::new(0);
    finished.receive(FIN.to_vec()).unwrap();
    finished.lost();
    assert_eq!(finished.read(&mut [0; 8]), Ok(Read::End));
}

#[test]
fn a_reader_too_far_behind_is_reset() {
    let (mut sender, mut receiver) = (Stream::new(LARGE_MAX_FRAME), Stream::new(0));
    let data = vec![0; sender.max_payload()];
    let mut outcome = Ok(());
    for _ in 0..=MAX_BUFFERED / data.len() {
        let frame = write(&mut sender, &data);
        outcome = receiver.receive(frame);
    }
    assert!(matches!(outcome, Err(StreamError::Overloaded { .. })));
    assert_eq!(receiver.buffered(), 0);
    assert_eq!(controls(&mut receiver), [RESET_STREAM]);
}

#[test]
fn a_reader_behind_holds_no_more_memory_however_the_bytes_come() {
    // One byte a frame, each with its own share of memory.
    let frame = write(&mut Stream::new(0), b"x");
    let mut stream = Stream::new(0);
    let most = MAX_BUFFERED / size_of::<usize>() / 4;
    let refused = (0..most).find(|_| stream.receive(frame.clone()).is_err());
    assert!(refused.is_some());
    // One byte in a frame full of a field that nobody knows: the frame is not kept.
    let mut body = vec![2 << 3 | 2, 1, b'x'];
    put_varint(&mut body, 9 << 3 | 2);
    put_varint(&mut body, 200_000);
    body.resize(body.len() + 200_000, 0);
    let mut padded = vec![];
    put_varint(&mut padded, body.len() as u64);
    padded.extend_from_slice(&body);
    let mut stream = Stream::new(0);
    for _ in 0..1000 {
        stream.receive(padded.clone()).unwrap();
    }
    assert!(stream.held < 200_000, "{}", stream.held);
    assert_eq!(read_all(&mut stream), vec![b'x'; 1000]);
    assert_eq!(stream.held, 0);
}

#[test]
fn an_oversized_frame_is_refused_before_it_arrives() {
    let mut stream = Stream::new(0);
    let mut prefix = vec![];
    put_varint(&mut prefix, LARGE_MAX_FRAME as u64);
    assert_eq!(
        stream.receive(prefix),
        Err(StreamError::FrameTooLong {
            len: LARGE_MAX_FRAME as u64
        })
    );
    assert_eq!(controls(&mut stream), [RESET_STREAM]);
    assert_eq!(stream.receive(FIN.to_vec()), Ok(()));
    assert!(controls(&mut stream).is_empty());
    stream.lost();
    assert!(stream.is_done());
}

#[test]
fn a_reset_keeps_its_channel_until_the_remote_closes_it_or_resets_too() {
    let reset = || {
        let mut stream = Stream::new(0);
        // Half a frame had come, whose rest arrives after the reset.
        stream.receive(vec![7, 0x12, 5, b'h', b'a']).unwrap();
        stream.reset();
        assert_eq!(controls(&mut stream), [RESET_STREAM]);
        assert!(!stream.is_done());
        stream.receive(b"ppy".to_vec()).unwrap();
        stream.receive(FIN.to_vec()).unwrap();
        assert_eq!(stream.buffered(), 0);
        assert!(controls(&mut stream).is_empty() && !stream.is_done());
        stream
    };
    let mut closed = reset();
    closed.lost();
    assert!(closed.is_done());
    let mut crossed = reset();
    crossed.receive(RESET_STREAM.to_vec()).unwrap();
    assert!(crossed.is_done());
    let mut confused = reset();
    assert!(confused.receive(vec![0xff; 20]).is_err());
    assert!(confused.is_done());
    for mut stream in [closed, crossed, confused] {
        assert_eq!(stream.read(&mut [0; 1]), Err(StreamError::Reset));
    }
}

#[test]
fn a_dropped_stream_still_understands_a_frame_that_arrives_in_halves() {
    let mut stream = Stream::new(0);
    stream.finish();
    stream.receive(vec![7, 0x12, 5, b'h']).unwrap();
    stream.abandon();
    stream.receive(b"appy".to_vec()).unwrap();
    stream.receive([FIN, FIN_ACK].concat()).unwrap();
    assert_eq!(controls(&mut stream), [FIN, STOP_SENDING, FIN_ACK]);
    assert!(stream.is_done());
}

#[test]
fn endless_fins_are_a_bounded_queue() {
    let mut stream = Stream::new(0);
    let outcome = stream.receive(FIN.repeat(100));
    assert_eq!(outcome, Err(StreamError::ControlFlood));
    assert_eq!(controls(&mut stream), [RESET_STREAM]);
}

#[test]
fn an_unknown_flag_or_field_is_ignored() {
    let mut stream = Stream::new(0);
    stream.receive(vec![2, 8, 9]).unwrap();
    stream
        .receive(vec![6, 0x1a, 1, 0xff, 0x12, 1, b'y'])
        .unwrap();
    assert_eq!(read_all(&mut stream), b"y");
}

#[test]
fn flipped_truncated_and_random_bytes_never_panic_and_stay_bounded() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut sender = Stream::new(0);
    let mut good = write(&mut sender, &[1; 300]);
    good.extend(write(&mut sender, &[2; 3]));
    good.extend([FIN, FIN_ACK, STOP_SENDING].concat());
    for round in 0..20_000 {
        let mut bytes = good.clone();
        if round % 4 == 3 {
            bytes = vec![0; rng.next_u32() as usize % 400];
            rng.fill_bytes(&mut bytes);
        } else {
            let index = rng.next_u32() as usize % bytes.len();
            bytes[index] ^= 1 << (rng.next_u32() % 8);
            bytes.truncate(rng.next_u32() as usize % (2 * bytes.len()));
        }
        let mut stream = Stream::new(0);
        let size = 1 + rng.next_u32() as usize % 200;
        for chunk in bytes.chunks(size) {
            let _ = stream.receive(chunk.to_vec());
            match rng.next_u32() % 8 {
                0 => stream.finish(),
                1 => stream.abandon(),
                2 => stream.lost(),
                3 => stream.reset(),
                _ => drop(stream.read(&mut [0; 64])),
            }
        }
        assert!(stream.buffered() <= bytes.len());
        assert!(controls(&mut stream).len() <= MAX_CONTROL + 2);
    }
}
