//! Points in time as plain values. Reads no clock: the driver passes [`Now`] in, so a node can be replayed.

use alloc::string::String;
use core::fmt;
use core::ops::Add;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    /// 9999-12-30T22:00:00Z, the last second that jiff can name in every time zone.
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
        // `MAX` keeps every value in jiff's range; the epoch stands in for what cannot happen.
        let civil = i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        write!(f, "{:.3}", civil.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fff]Z`: RFC 3339, section 5.6, in UTC and with at most three decimals.
impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let malformed = || TimeError::Malformed {
            text: shorten(text),
        };
        if !has_rfc3339_shape(text.as_bytes()) {
            return Err(malformed());
        }
        let civil = text.parse::<jiff::Timestamp>().map_err(|_| malformed())?;
        let millis = u64::try_from(civil.as_millisecond()).map_err(|_| TimeError::OutOfRange {
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

/// jiff reads far more than RFC 3339; one spelling per moment is enough here.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let Some((head, tail)) = text.split_at_checked(SHAPE.len()) else {
        return false;
    };
    let head_fits = head.iter().zip(SHAPE).all(|(&c, &s)| {
        if s == b'0' {
            c.is_ascii_digit()
        } else {
            c == s
        }
    });
    let tail_fits = match tail {
        [b'Z'] => true,
        [b'.', decimals @ .., b'Z'] => {
            (1..=3).contains(&decimals.len()) && decimals.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    head_fits && tail_fits
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
