"""Budgets, rates, breakers and loops as pure functions: (state, event, now) to state. Stores keep the states."""
