# What `make install` lays down. Each part adds its own install() rules; this file holds the shared places.
