"""`./fleet bench`: how fast the fleet is on data of its own, beside what its framework and its database would allow."""
