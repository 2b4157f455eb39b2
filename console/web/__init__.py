"""The console's pages: function views over the services, rendered by Django templates."""
