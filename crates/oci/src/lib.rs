//! plimsoll-oci.
