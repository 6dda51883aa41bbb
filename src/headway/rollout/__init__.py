"""Which version answers: plans and decisions, pure; nothing here listens, starts or waits."""
