//! Sees what Seawall does: metrics, logs, status.
