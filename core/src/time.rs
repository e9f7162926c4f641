//! Points in time as plain values. Reads no clock: the driver passes [`Now`] in, so a node can be replayed.

use alloc::string::String;
use core::fmt;
use core::ops::Add;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// A point on a monotonic clock, in microseconds since an origin that only its driver knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ORIGIN: Self = Self(0);
    /// The last instant there is: a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates an instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time since `earlier`, or zero where `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Adds in whole microseconds and stops at [`Instant::MAX`].
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A point in civil time, in milliseconds since 1970-01-01T00:00:00Z, at most [`Timestamp::MAX`].
///
/// Written as RFC 3339 in UTC with milliseconds: `2026-11-21T04:00:00.000Z`. Serde writes that text in human-readable
/// formats and the number of milliseconds in binary ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// 9999-12-30T22:00:00Z, so that every time zone's clock still shows a year of four digits.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// Creates a timestamp `millis` milliseconds after the Unix epoch; values past [`Timestamp::MAX`] become it.
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the timestamp `duration` later (whole milliseconds), at most [`Timestamp::MAX`].
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Returns the time since `earlier`, or zero where `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `MAX` keeps every value in the calendar's range; the epoch stands in for what cannot happen.
        let nanos = i128::from(self.0) * 1_000_000;
        let civil =
            OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = civil.to_calendar_date();
        let (hour, minute, second, milli) = civil.to_hms_milli();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fff]Z`: RFC 3339, section 5.6, in UTC and with at most three decimals.
impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let malformed = || TimeError::Malformed {
            text: shorten(text),
        };
        let civil = civil(text.as_bytes()).ok_or_else(malformed)?;
        let millis = civil.unix_timestamp_nanos() / 1_000_000;
        let millis = u64::try_from(millis).map_err(|_| TimeError::OutOfRange {
            text: shorten(text),
        })?;
        if millis > Self::MAX.0 {
            return Err(TimeError::OutOfRange {
                text: shorten(text),
            });
        }
        Ok(Self(millis))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom);
        }
        let millis = u64::deserialize(deserializer)?;
        if millis > Self::MAX.0 {
            return Err(serde::de::Error::custom("timestamp is past the year 9999"));
        }
        Ok(Self(millis))
    }
}

/// Both clocks at one moment, as every `handle` call receives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: deadlines, round-trip times, rates.
    pub instant: Instant,
    /// Civil time: what packets carry. May jump.
    pub wall: Timestamp,
}

/// Why a text is no timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// The text is not RFC 3339 in UTC with at most milliseconds.
    #[error("timestamp must look like 2026-11-21T04:00:00.000Z, got {text:?}")]
    Malformed {
        /// The text, shortened.
        text: String,
    },
    /// The time is before 1970 or after [`Timestamp::MAX`].
    #[error("timestamp must be within 1970..=9999, got {text:?}")]
    OutOfRange {
        /// The text, shortened.
        text: String,
    },
}

/// Reads the one spelling that is taken; `None` where the text has another, or names a day that no calendar has.
fn civil(text: &[u8]) -> Option<OffsetDateTime> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (head, tail) = text.split_at_checked(SHAPE.len())?;
    let fits = |(c, s): (&u8, &u8)| match s {
        b'0' => c.is_ascii_digit(),
        _ => c == s,
    };
    if !head.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let number = |digits: &[u8]| {
        let digit = |sum, c: &u8| sum * 10 + u16::from(c - b'0');
        digits.iter().fold(0, digit)
    };
    let milli = match tail {
        [b'Z'] => 0,
        [b'.', decimals @ .., b'Z']
            if (1..=3).contains(&decimals.len()) && decimals.iter().all(u8::is_ascii_digit) =>
        {
            number(decimals) * [100, 10, 1][decimals.len() - 1]
        }
        _ => return None,
    };
    let small = |digits| u8::try_from(number(digits)).ok();
    let month = Month::try_from(small(&head[5..7])?).ok()?;
    let date = Date::from_calendar_date(number(&head[..4]).into(), month, small(&head[8..10])?);
    let (hour, minute) = (small(&head[11..13])?, small(&head[14..16])?);
    let time = Time::from_hms_milli(hour, minute, small(&head[17..])?, milli);
    Some(PrimitiveDateTime::new(date.ok()?, time.ok()?).assume_utc())
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_timestamp_is_written_as_rfc_3339_in_utc_with_milliseconds() {
        let at = Timestamp::from_millis(1_795_233_600_000);
        assert_eq!(at.to_string(), "2026-11-21T04:00:00.000Z");
        assert_eq!("2026-11-21T04:00:00.000Z".parse(), Ok(at));
        assert_eq!("2026-11-21T04:00:00Z".parse(), Ok(at));
        assert_eq!(
            Timestamp::from_millis(7).to_string(),
            "1970-01-01T00:00:00.007Z"
        );
    }

    #[test]
    fn the_last_timestamp_can_be_written_and_read() {
        assert_eq!(Timestamp::from_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string().parse(), Ok(Timestamp::MAX));
    }

    #[test]
    fn other_spellings_and_impossible_dates_are_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21 04:00:00Z",
            "2026-11-21T04:00:00",
            "2026-11-21T04:00:00+00:00",
            "2026-11-21T04:00:00.0001Z",
            "2026-11-21T04:00:00.Z",
            "2026-13-21T04:00:00Z",
            "2026-02-29T04:00:00Z",
            "2026-11-21T04:00:60Z",
            "20261121T040000Z",
            "2026-11-21T04:00:00Z[UTC]",
            "é026-11-21T04:00:00Z",
        ] {
            assert!(
                matches!(text.parse::<Timestamp>(), Err(TimeError::Malformed { .. })),
                "{text}"
            );
        }
        for text in ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(
            Instant::ORIGIN.saturating_duration_since(Instant::MAX),
            Duration::ZERO
        );
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Instant::from_micros(5) + Duration::from_millis(1),
            Instant::from_micros(1005)
        );
    }
}
