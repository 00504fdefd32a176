"""Who I am and what I may touch: environments, secret references, places on disk."""
