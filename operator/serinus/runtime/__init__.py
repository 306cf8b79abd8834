"""The loop, once for both kinds: cache, work queue, answers, executor, reconcile, leader election."""
