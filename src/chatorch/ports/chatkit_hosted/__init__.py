"""What ChatKit where OpenAI hosts it needs: the provider, and a ledger of its sessions."""
