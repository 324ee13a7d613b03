"""How a run is carried out, saved, followed, and ended where its worker is gone."""
