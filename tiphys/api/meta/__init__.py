"""Types that every object is made of."""
