"""Small streams for tests of drift: rows that are drawn, counted in steps."""



