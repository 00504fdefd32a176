"""Plan to events: a pure core (`fold`, `decide`) and the driver that carries out what it says."""
