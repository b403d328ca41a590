//! Tests of the Hello and of its answers.

use proptest::prelude::*;

use super::*;

fn hello() -> Hello {
    Hello::new(Mode::Thin, Credential::Ticket("abc".to_owned()), "b1").with_fingerprint(0x1234)
}

fn welcome() -> Welcome {
    Welcome {
        connection: 7,
        player: PlayerId(Uuid::from_u128(1)),
        seat: Some(Seat(300)),
        role: Role::Player,
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        resume_token: "r".to_owned(),
        datagram_size_max: 1100,
        game: GameId::new("arena").unwrap(),
    }
}

#[test]
fn a_hello_has_exactly_these_bytes() {
    let expected = b"\x97\x00\x01\x01\x00\xa3abc\xa2b1\xcd\x12\x34";
    assert_eq!(hello().encode().unwrap(), expected);
}

#[test]
fn a_welcome_has_exactly_these_bytes() {
    let mut expected = b"\x9a\x01\x07\xc4\x10".to_vec();
    expected.extend_from_slice(&[0; 15]);
    expected.extend_from_slice(b"\x01\xcd\x01\x2c\x00\x3c\x14\xa1r\xcd\x04\x4c\xa5arena");
    assert_eq!(Answer::Welcome(welcome()).encode().unwrap(), expected);
}

#[test]
fn a_refusal_has_exactly_these_bytes() {
    let refused = Refused::new(RefusalCode::TicketUsed, "used");
    assert_eq!(
        Answer::Refused(refused).encode().unwrap(),
        b"\x93\x02\x05\xa4used"
    );
}

#[test]
fn a_refusal_for_now_says_when_to_come_back() {
    let refused = Refused::for_now(RefusalCode::Overloaded, "full", Duration::from_secs(2));
    let bytes = Answer::Refused(refused.clone()).encode().unwrap();
    assert_eq!(bytes, b"\x94\x02\x0e\xa4full\xcd\x07\xd0");
    assert_eq!(Answer::decode(&bytes), Ok(Answer::Refused(refused)));
}

#[test]
fn any_refusal_may_say_when_to_come_back_and_nothing_more() {
    let used = b"\x94\x02\x05\xa4used\xcd\x07\xd0";
    let expected = Refused::for_now(RefusalCode::TicketUsed, "used", Duration::from_secs(2));
    assert_eq!(Answer::decode(used), Ok(Answer::Refused(expected)));
    // As instances from before said it.
    let without = Refused::new(RefusalCode::Busy, "busy");
    let bytes = b"\x93\x02\x0b\xa4busy";
    assert_eq!(Answer::decode(bytes), Ok(Answer::Refused(without)));
    let field = FrameError::Malformed {
        field: "field count",
    };
    for wrong in [&b"\x95\x02\x0e\xa4full\x00\x00"[..], b"\x92\x02\x0e"] {
        let refused = Answer::decode(wrong);
        assert!(refused == Err(field) || refused == Err(FrameError::Malformed { field: "text" }));
    }
}

#[test]
fn integers_may_be_wider_than_needed() {
    let wide = b"\x97\xcc\x00\xcd\x00\x01\xce\x00\x00\x00\x01\x00\xd9\x03abc\xa2b1\xcf\x00\x00\x00\x00\x00\x00\x12\x34";
    assert_eq!(Hello::decode(wide), Ok(hello()));
}

#[test]
fn integers_may_be_written_as_floating_point_numbers() {
    // Every number as a Godot script packs it: of 64 bits, and one of 32.
    let mut floats = vec![0x97];
    let put = |bytes: &mut Vec<u8>, value: f64| encode::write_f64(bytes, value).unwrap();
    put(&mut floats, 0.0);
    put(&mut floats, 1.0);
    floats.extend_from_slice(&[0xca, 0x3f, 0x80, 0, 0]);
    put(&mut floats, 0.0);
    floats.extend_from_slice(b"\xa3abc\xa2b1");
    let without_the_last = floats.clone();
    put(&mut floats, f64::from(0x1234));
    assert_eq!(Hello::decode(&floats), Ok(hello()));
    for no_integer in [0.5, -1.0, f64::NAN] {
        let mut wrong = without_the_last.clone();
        put(&mut wrong, no_integer);
        let field = "fingerprint";
        assert_eq!(Hello::decode(&wrong), Err(FrameError::Malformed { field }));
    }
}

#[test]
fn another_version_is_told_before_anything_else_is_read() {
    let future = b"\x93\x00\x02\xc0";
    assert_eq!(
        Hello::decode(future),
        Err(FrameError::VersionMismatch { theirs: 2 })
    );
}

#[test]
fn a_byte_after_the_frame_is_an_error() {
    let mut bytes = hello().encode().unwrap();
    bytes.push(0);
    assert_eq!(Hello::decode(&bytes), Err(FrameError::TrailingBytes));
}

#[test]
fn unknown_numbers_are_errors() {
    let unknown = |field| Err(FrameError::Unknown { field });
    assert_eq!(
        Hello::decode(b"\x97\x03\x01\x01\x00\xa0\xa0\x00"),
        unknown("tag")
    );
    assert_eq!(
        Hello::decode(b"\x97\x00\x01\x02\x00\xa0\xa0\x00"),
        unknown("mode")
    );
    assert_eq!(
        Hello::decode(b"\x97\x00\x01\x01\x02\xa0\xa0\x00"),
        unknown("credential kind")
    );
    let answer = Answer::decode(b"\x93\x02\x63\xa0");
    assert_eq!(answer, Err(FrameError::Unknown { field: "code" }));
}

#[test]
fn texts_over_their_limits_are_errors_both_ways() {
    let long = Hello {
        build: "b".repeat(BUILD_LENGTH_MAX + 1),
        ..hello()
    };
    let too_long = FrameError::TextTooLong {
        field: "build",
        length_max: BUILD_LENGTH_MAX,
    };
    assert_eq!(long.encode(), Err(too_long));
    let mut bytes = b"\x97\x00\x01\x01\x00\xa0\xd9\x41".to_vec();
    bytes.extend_from_slice(&[b'b'; BUILD_LENGTH_MAX + 1]);
    assert_eq!(Hello::decode(&bytes), Err(too_long));
}

#[test]
fn a_length_that_promises_gigabytes_costs_nothing() {
    let lying = b"\x97\x00\x01\x01\x00\xdb\xff\xff\xff\xff";
    assert_eq!(
        Hello::decode(lying),
        Err(FrameError::Malformed {
            field: "credential"
        })
    );
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    assert!(Hello::decode(&[0x91; FRAME_BYTES_MAX]).is_err());
}

#[test]
fn the_largest_texts_fit_the_frame() {
    let credential = Credential::Ticket("t".repeat(TICKET_LENGTH_MAX));
    let hello = Hello::new(Mode::Native, credential, "b".repeat(BUILD_LENGTH_MAX));
    assert!(hello.encode().is_ok());
    let resume_token = "r".repeat(RESUME_TOKEN_LENGTH_MAX);
    assert!(
        Answer::Welcome(Welcome {
            resume_token,
            ..welcome()
        })
        .encode()
        .is_ok()
    );
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let shown = format!("{:?} {:?}", hello(), welcome());
    assert!(
        !shown.contains("abc") && !shown.contains("resume"),
        "{shown}"
    );
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let mode = prop_oneof![Just(Mode::Native), Just(Mode::Thin)];
    let credential = prop_oneof![
        "[ -~]{0,512}".prop_map(Credential::Ticket),
        "[ -~]{0,512}".prop_map(Credential::Resume)
    ];
    (mode, credential, "\\PC{0,16}").prop_map(|(mode, credential, build)| {
        Hello::new(mode, credential, cut(&build, BUILD_LENGTH_MAX))
    })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let numbers = (
        any::<u64>(),
        any::<u128>(),
        any::<Option<u16>>(),
        any::<[u16; 3]>(),
    );
    let welcomes = numbers.prop_map(
        |(connection, player, seat, [tick, snapshot, size])| Welcome {
            connection,
            player: PlayerId(Uuid::from_u128(player)),
            seat: seat.map(Seat),
            role: if seat.is_some() {
                Role::Player
            } else {
                Role::Spectator
            },
            tick_rate_hz: tick,
            snapshot_rate_hz: snapshot,
            datagram_size_max: size,
            ..welcome()
        },
    );
    let codes = prop::sample::select(RefusalCode::ALL);
    let refusals = (codes, "\\PC{0,300}", any::<u32>()).prop_map(|(code, text, ms)| {
        if ms % 2 == 0 {
            Refused::for_now(code, &text, Duration::from_millis(ms.into()))
        } else {
            Refused::new(code, &text)
        }
    });
    prop_oneof![
        welcomes.prop_map(Answer::Welcome),
        refusals.prop_map(Answer::Refused)
    ]
}

proptest! {
    #[test]
    fn every_hello_comes_back_as_it_was(hello in any_hello()) {
        prop_assert_eq!(Hello::decode(&hello.encode().unwrap()), Ok(hello));
    }

    #[test]
    fn every_answer_comes_back_as_it_was(answer in any_answer()) {
        prop_assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let _ = Hello::decode(&bytes);
        let _ = Answer::decode(&bytes);
    }

    #[test]
    fn no_changed_byte_makes_the_readers_panic(
        hello in any_hello(), answer in any_answer(), index in any::<usize>(), byte in any::<u8>(),
    ) {
        for mut bytes in [hello.encode().unwrap(), answer.encode().unwrap()] {
            let index = index % bytes.len();
            bytes[index] = byte;
            let _ = Hello::decode(&bytes);
            let _ = Answer::decode(&bytes);
        }
    }
}
