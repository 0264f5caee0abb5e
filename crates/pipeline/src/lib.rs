//! plimsoll-pipeline.
