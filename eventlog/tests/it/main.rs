//! The embedded log against the claims of the design: conformance, crashes, damage, full and failing disks.

mod conformance;
