//! plimsoll-image.
