"""A world that is the same each time: virtual time, a network and a disk that fail, a process that
dies. The code under test is the real one; only what it leans on is played."""
