"""Has what comes changed, where, since when, and does it cost money?"""
