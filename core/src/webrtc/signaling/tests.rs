use alloc::{format, vec};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;

fn candidate(text: &str) -> Candidate {
    Candidate {
        candidate: text.to_string(),
        sdp_mid: Some("0".to_string()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    }
}

fn outputs(signaling: &mut Signaling) -> Vec<Output> {
    core::iter::from_fn(|| signaling.poll_output()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_offer_writes_type_zero_and_the_length_prefix() {
    let offer = Message::Offer {
        sdp: "v=0".to_string(),
        max_frame: None,
    };
    assert_eq!(hex(&offer.encode()), "0708001203763d30");
    let answer = Message::Answer {
        sdp: "v=0".to_string(),
        max_frame: Some(261_120),
    };
    // 19411 << 3 = 155288 = 98 bd 09; 261120 = 80 f8 0f.
    assert_eq!(hex(&answer.encode()), "0d08011203763d3098bd0980f80f");
    assert_eq!(
        hex(&Message::Candidate(String::new()).encode()),
        "0408021200"
    );
}

#[test]
fn messages_round_trip_in_any_split() {
    let messages = [
        Message::Offer {
            sdp: "o".repeat(3000),
            max_frame: Some(70_000),
        },
        Message::Answer {
            sdp: "a".to_string(),
            max_frame: None,
        },
        Message::Candidate("{}".to_string()),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
    for size in [1, 2, 3, 7, 1000, bytes.len()] {
        let mut decoder = Decoder::default();
        let mut got = vec![];
        for chunk in bytes.chunks(size) {
            decoder.push(chunk);
            while let Some(message) = decoder.next_message().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, messages);
    }
}

#[test]
fn unknown_fields_are_skipped_and_an_unknown_type_is_refused() {
    let body = [
        0x08, 0x02, 0x1a, 0x01, 0xff, 0x12, 0x01, b'x', 0x25, 1, 2, 3, 4,
    ];
    assert_eq!(
        Message::decode(&body),
        Ok(Message::Candidate("x".to_string()))
    );
    assert_eq!(
        Message::decode(&[0x08, 0x09]),
        Err(SignalingError::UnknownType { kind: Some(9) })
    );
    assert_eq!(
        Message::decode(&[]),
        Err(SignalingError::UnknownType { kind: None })
    );
    assert_eq!(
        Message::decode(&[0x08, 0x00, 0x12, 0x01, 0xff]),
        Err(SignalingError::NotText)
    );
}

#[test]
fn an_announced_length_over_the_bound_is_refused_before_it_arrives() {
    let mut decoder = Decoder::default();
    decoder.push(&[0x81, 0x80, 0x04]);
    assert_eq!(
        decoder.next_message(),
        Err(SignalingError::TooLong { len: 65_537 })
    );
}

#[test]
fn offerer_and_answerer_agree_on_the_smaller_frame_and_pass_candidates_both_ways() {
    let mut offerer = Signaling::new(Role::Offerer, 261_120);
    let mut answerer = Signaling::new(Role::Answerer, 65_536);
    assert_eq!(outputs(&mut offerer), [Output::Describe]);
    offerer
        .handle(Input::Gathered(candidate("candidate:early")))
        .unwrap();
    assert_eq!(offerer.poll_output(), None);
    offerer
        .handle(Input::Described {
            sdp: "offer".to_string(),
        })
        .unwrap();
    let sent = outputs(&mut offerer);
    let [
        Output::Write(offer),
        Output::ApplyLocal,
        Output::Write(early),
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    answerer.handle(Input::Received(offer)).unwrap();
    answerer.handle(Input::Received(early)).unwrap();
    assert_eq!(
        outputs(&mut answerer),
        [
            Output::ApplyRemote {
                sdp: "offer".to_string()
            },
            Output::Describe,
            Output::AddCandidate(candidate("candidate:early"))
        ]
    );
    answerer
        .handle(Input::Described {
            sdp: "answer".to_string(),
        })
        .unwrap();
    let sent = outputs(&mut answerer);
    let [Output::Write(answer), Output::ApplyLocal] = &sent[..] else {
        panic!("{sent:?}");
    };
    offerer.handle(Input::Received(answer)).unwrap();
    assert_eq!(
        outputs(&mut offerer),
        [Output::ApplyRemote {
            sdp: "answer".to_string()
        }]
    );
    assert!(offerer.is_exchanging() && answerer.is_exchanging());
    assert_eq!(
        (offerer.max_frame(), answerer.max_frame()),
        (65_536, 65_536)
    );
    answerer
        .handle(Input::Gathered(candidate("candidate:late")))
        .unwrap();
    let Some(Output::Write(late)) = answerer.poll_output() else {
        panic!()
    };
    offerer.handle(Input::Received(&late)).unwrap();
    assert_eq!(
        outputs(&mut offerer),
        [Output::AddCandidate(candidate("candidate:late"))]
    );
}

#[test]
fn a_remote_that_names_no_frame_size_or_a_tiny_one_gets_16_kib() {
    for max_frame in [None, Some(1), Some(16_383)] {
        let mut signaling = Signaling::new(Role::Answerer, 261_120);
        let offer = Message::Offer {
            sdp: "o".to_string(),
            max_frame,
        };
        signaling.handle(Input::Received(&offer.encode())).unwrap();
        assert_eq!(signaling.max_frame(), 16_384);
    }
}

#[test]
fn a_message_out_of_order_ends_the_attempt() {
    let offer = Message::Offer {
        sdp: "o".to_string(),
        max_frame: None,
    }
    .encode();
    let answer = Message::Answer {
        sdp: "a".to_string(),
        max_frame: None,
    }
    .encode();
    let candidate = Message::Candidate("{}".to_string()).encode();
    for bytes in [&answer, &candidate] {
        assert!(
            Signaling::new(Role::Answerer, 16_384)
                .handle(Input::Received(bytes))
                .is_err()
        );
    }
    let mut offerer = Signaling::new(Role::Offerer, 16_384);
    assert!(offerer.handle(Input::Received(&answer)).is_err());
    let mut offerer = Signaling::new(Role::Offerer, 16_384);
    offerer
        .handle(Input::Described {
            sdp: "o".to_string(),
        })
        .unwrap();
    assert!(offerer.handle(Input::Received(&offer)).is_err());
    offerer.handle(Input::Received(&answer)).unwrap();
    assert!(offerer.handle(Input::Received(&answer)).is_err());
}

#[test]
fn candidates_are_normalised_and_the_end_of_candidates_is_tolerated() {
    let node = r#"{"candidate":"a=candidate:1 1 UDP 1 10.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":null,"usernameFragment":null}"#;
    let parsed = Candidate::parse(node).unwrap().unwrap();
    assert_eq!(parsed.candidate, "candidate:1 1 UDP 1 10.0.0.1 9 typ host");
    assert_eq!(parsed.sdp_m_line_index, None);
    for end in [
        "",
        "null",
        "\"\"",
        r#"{"candidate":""}"#,
        r#"{"candidate":"","sdpMid":"0","sdpMLineIndex":0}"#,
    ] {
        assert_eq!(Candidate::parse(end), Ok(None), "{end}");
    }
    for bad in ["{", "7", "{}", r#"{"candidate":7}"#] {
        assert_eq!(
            Candidate::parse(bad),
            Err(SignalingError::BadCandidate),
            "{bad}"
        );
    }
}

#[test]
fn a_bad_candidate_is_counted_and_not_fatal_and_their_number_is_bounded() {
    let mut signaling = Signaling::new(Role::Answerer, 16_384);
    let offer = Message::Offer {
        sdp: "o".to_string(),
        max_frame: None,
    };
    signaling.handle(Input::Received(&offer.encode())).unwrap();
    signaling
        .handle(Input::Received(
            &Message::Candidate("{".to_string()).encode(),
        ))
        .unwrap();
    assert_eq!(signaling.refused(), 1);
    let good = Message::Candidate(candidate("candidate:1").to_json()).encode();
    for _ in 0..2 * MAX_CANDIDATES {
        signaling.handle(Input::Received(&good)).unwrap();
    }
    let added = outputs(&mut signaling)
        .iter()
        .filter(|o| matches!(o, Output::AddCandidate(_)))
        .count();
    assert_eq!(added, MAX_CANDIDATES - 1);
    assert_eq!(signaling.refused(), 2 + MAX_CANDIDATES);
}

#[test]
fn flipped_truncated_and_random_bytes_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let good: Vec<u8> = [
        Message::Offer {
            sdp: "v=0\r\n".repeat(9),
            max_frame: Some(261_120),
        },
        Message::Candidate(candidate("candidate:1").to_json()),
    ]
    .iter()
    .flat_map(Message::encode)
    .collect();
    for round in 0..20_000 {
        let mut bytes = good.clone();
        if round % 4 == 3 {
            bytes = vec![0; rng.next_u32() as usize % 200];
            rng.fill_bytes(&mut bytes);
        } else {
            let index = rng.next_u32() as usize % bytes.len();
            bytes[index] ^= 1 << (rng.next_u32() % 8);
            bytes.truncate(rng.next_u32() as usize % (2 * bytes.len()));
        }
        for role in [Role::Answerer, Role::Offerer] {
            let mut signaling = Signaling::new(role, 16_384);
            if role == Role::Offerer {
                signaling
                    .handle(Input::Described { sdp: String::new() })
                    .unwrap();
            }
            let _ = signaling.handle(Input::Received(&bytes));
            assert!(outputs(&mut signaling).len() <= 64);
        }
    }
}
