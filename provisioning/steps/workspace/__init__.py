"""Steps of the stack `workspace`: the student's own domains at Cloudflare, Google Workspace and Smartlead."""
