"""What a job is told and what it leaves: settings, digests, receipts, locks, partial work."""
