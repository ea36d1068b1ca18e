"""The tracker: scripts for the pages of a site.

`src` is their source; `npm run build` writes `dist`, which the server serves.
"""
