//! Seawall: an asynchronous backend that keeps answering when the services behind it do not.
