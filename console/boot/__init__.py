"""What bin/up runs: brings a whole console up on this machine, keeps it up, and takes it down."""
