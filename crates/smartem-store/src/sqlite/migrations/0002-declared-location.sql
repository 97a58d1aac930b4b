-- Where an operator says that a station is. It holds from the station's first hour on, as the opening
-- of its track: the table `location` has what its fixes say after that.
ALTER TABLE station ADD COLUMN declared_lon REAL;
ALTER TABLE station ADD COLUMN declared_lat REAL;
ALTER TABLE station ADD COLUMN declared_alt REAL;
