//! Who may write: what a request says of itself, and what it may do.
//!
//! Reading is free, so a part that only reads has no [`Guard`]. A part that takes data in asks its
//! guard for the [`Principal`] behind the [`Caller`] of a request and then whether it may
//! ([`Principal::demand`]). Who is who is known by an [`Authority`].

mod authority;
mod bucket;
mod caller;
mod credentials;
mod guard;

pub use authority::{Authority, Principal, Right};
pub use caller::{Caller, PeerAddress};
pub use credentials::Credentials;
pub use guard::{Guard, GuardSettings};
