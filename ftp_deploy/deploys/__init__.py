"""The story of a deploy: claim, fetch, plan, transfer, finish."""
