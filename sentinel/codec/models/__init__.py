"""Files of models: LightGBM, XGBoost, and what is stored of a version."""
