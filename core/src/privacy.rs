//! What happens to data before it is shared.

pub mod scrub;
