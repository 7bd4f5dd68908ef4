"""What an audit found, and how it is told: verdict, policy, and the forms of the report."""
